// The token that a client or worker sends with every call.
#ifndef CALDERA_COMMON_RPC_CLIENT_TOKEN_H_
#define CALDERA_COMMON_RPC_CLIENT_TOKEN_H_

#include <grpcpp/support/client_interceptor.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace caldera::rpc {

// Where a program finds its token: the content of `file` if given, else `value` (an environment
// variable's). Never a flag's value, which everybody on the machine can read.
struct TokenPlace {
  std::string file = "";
  std::string value = "";
};

// Thread-safe. A file is read again every few seconds, so that a token can be replaced under a
// running worker; while it cannot be read, the last one stays.
class ClientToken {
 public:
  // nullptr when no place is given. NOT_FOUND and the like name the file; INVALID_ARGUMENT when
  // what is there is no token. No error repeats the content.
  static absl::StatusOr<std::shared_ptr<ClientToken>> Open(const TokenPlace& place);

  std::string Get() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  ClientToken(TokenPlace place, std::string token)
      : place_(std::move(place)), token_(std::move(token)) {}

  const TokenPlace place_;
  base::Mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_look_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// Adds "authorization: Bearer ..." to each call of a channel. Works over plaintext too, where
// gRPC's own call credentials do not; which connections may be plaintext says credentials.h.
std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> MakeTokenInterceptor(
    std::shared_ptr<ClientToken> token);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_CLIENT_TOKEN_H_
