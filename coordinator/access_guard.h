// Who calls, and whether he may: decided for each call before its handler runs.
//
// gRPC's own place for this, an AuthMetadataProcessor, aborts the process on plaintext connections
// (gRPC 1.51), and interceptors of a server cannot refuse a call. So each handler starts with
// Admit, and reactors.h runs nothing without what Admit returns.
#ifndef CALDERA_COORDINATOR_ACCESS_GUARD_H_
#define CALDERA_COORDINATOR_ACCESS_GUARD_H_

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/rpc/token.h"
#include "coordinator/refusals.h"

namespace caldera::coordinator {

// What a call brings along.
struct CallerFacts {
  std::string peer;                          // host without a port
  std::optional<std::string> authorization;  // the header, when there is one
  std::string certificate_name;              // of a verified client certificate, else ""
};

// What gRPC calls "ipv4:10.0.0.7:41234", without the port.
std::string PeerHost(const std::string& peer);

// A call that has been looked at. `caller` tells whose it is: "alice" (id of the token), else
// "certificate NAME", else "address HOST".
struct Admission {
  grpc::CallbackServerContext* context = nullptr;
  absl::Status status;  // not OK: the answer
  std::string caller;
};

// Thread-safe.
class AccessGuard {
 public:
  // Borrows all; without `tokens` everybody may do everything.
  AccessGuard(const rpc::TokenFile* tokens, const base::Clock* clock, Refusals* refusals)
      : tokens_(tokens), clock_(clock), refusals_(refusals) {}

  // `method` is the bare name: __func__ of the handler. Refused calls are logged by Refusals.
  Admission Admit(grpc::CallbackServerContext* context, const std::string& method) const;
  // Also checks the sizes of the request's fields (request_limits.h).
  Admission Admit(grpc::CallbackServerContext* context, const std::string& method,
                  const google::protobuf::Message& request) const;

  // The caller's name. UNAUTHENTICATED with reason MISSING_TOKEN, INVALID_TOKEN or EXPIRED_TOKEN;
  // PERMISSION_DENIED with reason ROLE_NOT_PERMITTED. No message holds a token.
  absl::StatusOr<std::string> Authorize(const CallerFacts& facts, const std::string& method) const;

 private:
  const rpc::TokenFile* const tokens_;
  const base::Clock* const clock_;
  Refusals* const refusals_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_ACCESS_GUARD_H_
