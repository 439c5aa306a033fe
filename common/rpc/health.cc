#include "common/rpc/health.h"

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_conversion.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace caldera::rpc {

absl::StatusOr<ServingStatus> CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                          const std::string& service, absl::Duration timeout) {
  const auto stub = grpc::health::v1::Health::NewStub(channel);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  grpc::ClientContext context;
  SetTimeout(context, timeout);
  const absl::Status status = FromGrpc(stub->Check(&context, request, &response));
  if (!status.ok()) return base::WithContext(status, "health of \"" + service + "\"");
  return response.status() == grpc::health::v1::HealthCheckResponse::SERVING
             ? ServingStatus::kServing
             : ServingStatus::kNotServing;
}

}  // namespace caldera::rpc
