#include "common/rpc/health.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/impl/codegen/client_unary_call.h>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_conversion.h"

namespace caldera::rpc {

absl::StatusOr<ServingStatus> CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                          const std::string& service, absl::Duration timeout) {
  // Debian ships no health.proto. Its request is one string in field 1 and its response one enum in
  // field 1, which are the wire forms of StringValue and Int32Value.
  constexpr int kServing = 1;
  google::protobuf::StringValue request;
  google::protobuf::Int32Value response;
  request.set_value(service);
  grpc::ClientContext context;
  SetTimeout(context, timeout);
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const absl::Status status = FromGrpc(
      grpc::internal::BlockingUnaryCall(channel.get(), method, &context, request, &response));
  if (!status.ok()) return base::WithContext(status, "health of \"" + service + "\"");
  return response.value() == kServing ? ServingStatus::kServing : ServingStatus::kNotServing;
}

}  // namespace caldera::rpc
