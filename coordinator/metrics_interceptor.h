// Counts every gRPC call of the server in Metrics, whatever service answers it.
#ifndef CALDERA_COORDINATOR_METRICS_INTERCEPTOR_H_
#define CALDERA_COORDINATOR_METRICS_INTERCEPTOR_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "coordinator/metrics.h"

namespace caldera::coordinator {

// For rpc::Server::Start. Borrows the metrics, which outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeMetricsInterceptor(
    Metrics* metrics);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_METRICS_INTERCEPTOR_H_
