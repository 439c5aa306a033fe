// Looking at PEM files before gRPC does: it tells of a bad one late, in its own log, or not at all.
#ifndef CALDERA_COMMON_RPC_CERTIFICATES_H_
#define CALDERA_COMMON_RPC_CERTIFICATES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/credentials.h"

namespace caldera::rpc {

// When the first certificate of a PEM text (its name is for errors) begins and ends to be valid.
struct Validity {
  absl::Time begin;
  absl::Time end;
};
absl::StatusOr<Validity> ValidityOf(const std::string& pem, const std::string& name);

// Errors name the file: those of reading; INVALID_ARGUMENT when a file holds no certificate or no
// key (an encrypted one counts as none), for a certificate without key or the reverse, and for a
// key that is not the certificate's; FAILED_PRECONDITION when our certificate is not valid at
// `now`.
absl::Status CheckTlsFiles(const TlsFiles& tls, absl::Time now);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_CERTIFICATES_H_
