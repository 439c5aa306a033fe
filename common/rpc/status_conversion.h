// Errors on the wire: absl::Status <-> grpc::Status with google.rpc details (AIP-193).
//
// Details travel on absl::Status as payloads under the type URLs of google.rpc.ErrorInfo,
// BadRequest and RetryInfo, and on the wire inside google.rpc.Status in grpc-status-details-bin.
// The codes of both libraries have the same numbers. Nothing here throws or blocks.
#ifndef CALDERA_COMMON_RPC_STATUS_CONVERSION_H_
#define CALDERA_COMMON_RPC_STATUS_CONVERSION_H_

#include <grpcpp/support/status.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace caldera::rpc {

// Domain of every ErrorInfo that we make.
inline constexpr char kErrorDomain[] = "caldera";

// Why a call failed, for programs: `reason` is UPPER_SNAKE_CASE ("STALE_LEASE").
struct ErrorInfo {
  std::string reason;
  std::map<std::string, std::string> metadata;
  friend bool operator==(const ErrorInfo&, const ErrorInfo&) = default;
};

// One bad field of a request: its path ("spec.decomposition.rank") and what is wrong with it.
struct FieldViolation {
  std::string field;
  std::string description;
  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};

// The same status with the detail attached (replacing one of its kind); OK stays OK.
[[nodiscard]] absl::Status WithErrorInfo(absl::Status status, const ErrorInfo& info);
[[nodiscard]] absl::Status WithFieldViolations(absl::Status status,
                                               const std::vector<FieldViolation>& violations);
[[nodiscard]] absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

// INVALID_ARGUMENT for a bad request: message "field: description; ..." and the violations
// attached. An empty list is OK.
[[nodiscard]] absl::Status BadRequest(const std::vector<FieldViolation>& violations);

// The details, where the status has them. A detail that does not parse counts as absent.
std::optional<ErrorInfo> GetErrorInfo(const absl::Status& status);
std::vector<FieldViolation> GetFieldViolations(const absl::Status& status);
std::optional<absl::Duration> GetRetryDelay(const absl::Status& status);

// google.rpc.Status, for messages that carry an error (CompressionJob.error).
google::rpc::Status ToProto(const absl::Status& status);
absl::Status FromProto(const google::rpc::Status& proto);

grpc::Status ToGrpc(const absl::Status& status);
// Codes outside 0..16 become UNKNOWN. Details that do not parse are dropped, the message stays.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace caldera::rpc

#endif  // CALDERA_COMMON_RPC_STATUS_CONVERSION_H_
