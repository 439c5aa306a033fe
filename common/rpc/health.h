// Asking a server how it is, by the standard protocol (grpc.health.v1.Health/Check).
#ifndef CALDERA_COMMON_RPC_HEALTH_H_
#define CALDERA_COMMON_RPC_HEALTH_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/server.h"

namespace caldera::rpc {

// The state of one service by its full name, or of the whole server with "". NOT_FOUND for a
// service that the server does not have; UNAVAILABLE or DEADLINE_EXCEEDED when nobody answers.
// Blocks.
absl::StatusOr<ServingStatus> CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                                          const std::string& service, absl::Duration timeout);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_HEALTH_H_
