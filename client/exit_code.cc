#include "client/exit_code.h"

#include "absl/strings/cord.h"

namespace caldera::client {
namespace {

constexpr char kInterruptedPayload[] = "caldera/interrupted";

}  // namespace

absl::Status Interrupted(const std::string& message) {
  absl::Status status(absl::StatusCode::kCancelled, message);
  status.SetPayload(kInterruptedPayload, absl::Cord("1"));
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.GetPayload(kInterruptedPayload)) return ExitCode::kInterrupted;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kAuth;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kCancelled:
      return ExitCode::kCancelled;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return ExitCode::kConflict;
    case absl::StatusCode::kDataLoss:
      return ExitCode::kIntegrity;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace caldera::client
