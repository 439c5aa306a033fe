// Client channels: keepalive, transport security and deadlines the same way for every program.
#ifndef CALDERA_COMMON_RPC_CHANNEL_H_
#define CALDERA_COMMON_RPC_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/client_token.h"
#include "common/rpc/credentials.h"

namespace caldera::rpc {

struct ChannelOptions {
  TlsFiles tls = {};
  PlaintextPolicy plaintext = PlaintextPolicy::kLoopbackOnly;
  std::shared_ptr<ClientToken> token = nullptr;  // sent with every call
  // A ping after so long without traffic, also between calls; the connection counts as dead when it
  // is not answered in time. The server's minimum interval (server.h) must be smaller.
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // Longest pause between attempts to connect again.
  absl::Duration maximum_reconnect_backoff = absl::Seconds(5);
};

// A channel to "host:port"; connects on first use. Messages are limited to gRPC's 4 MiB: large data
// goes in chunks (chunked.h). Errors: those of MakeChannelCredentials, INVALID_ARGUMENT without
// port.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const ChannelOptions& options);

// Blocks until the channel is connected: UNAVAILABLE naming the address after `timeout`.
absl::Status AwaitConnected(grpc::Channel& channel, const std::string& address,
                            absl::Duration timeout);

// Deadline of one call, from now. Every call sets one; a long stream sets how long it may take
// whole.
void SetTimeout(grpc::ClientContext& context, absl::Duration timeout);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_CHANNEL_H_
