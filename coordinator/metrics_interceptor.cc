#include "coordinator/metrics_interceptor.h"

#include <grpcpp/support/server_interceptor.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"

namespace caldera::coordinator {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

class MetricsInterceptor : public grpc::experimental::Interceptor {
 public:
  MetricsInterceptor(Metrics* metrics, std::string method)
      : metrics_(metrics), method_(std::move(method)), start_(absl::Now()) {}

  // A call that ends without a status of ours was cut off.
  ~MetricsInterceptor() override {
    if (!counted_) Count(absl::StatusCode::kCancelled);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      Count(static_cast<absl::StatusCode>(methods->GetSendStatus().error_code()));
    }
    methods->Proceed();
  }

 private:
  void Count(absl::StatusCode code) {
    counted_ = true;
    metrics_->GrpcHandled(method_, absl::StatusCodeToString(code),
                          absl::ToDoubleSeconds(absl::Now() - start_));
  }

  Metrics* const metrics_;
  const std::string method_;
  const absl::Time start_;
  bool counted_ = false;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(Metrics* metrics) : metrics_(metrics) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    // "/caldera.v1.DispatchService/Register" -> "Register": our services share no method name.
    const std::string path = info->method();
    const std::string method = path.substr(path.rfind('/') + 1);
    return std::make_unique<MetricsInterceptor>(metrics_, method).release();
  }

 private:
  Metrics* const metrics_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeMetricsInterceptor(
    Metrics* metrics) {
  return std::make_unique<Factory>(metrics);
}

}  // namespace caldera::coordinator
