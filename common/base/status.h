// Errors of the house: absl::Status with fmt-formatted messages, and the two macros that pass them
// on.
//
// Every fallible function returns absl::Status or absl::StatusOr<T>; exceptions never cross a
// public function. A message names the culprit (file, tensor, field) because it is what the user
// reads. Code -> exit code and gRPC code mapping: see common/rpc/status_conversion.h and
// client/exit_code.h.
#ifndef CALDERA_COMMON_BASE_STATUS_H_
#define CALDERA_COMMON_BASE_STATUS_H_

#include <fmt/format.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::base {

// Shorthands: base::InvalidArgument("tensor {}: {} rows, expected {}", name, rows, expected).
#define CALDERA_DEFINE_STATUS_MAKER(Name, Code)                                         \
  template <typename... Args>                                                           \
  [[nodiscard]] absl::Status Name(fmt::format_string<Args...> format, Args&&... args) { \
    return absl::Status(Code, fmt::format(format, std::forward<Args>(args)...));        \
  }
CALDERA_DEFINE_STATUS_MAKER(InvalidArgument, absl::StatusCode::kInvalidArgument)
CALDERA_DEFINE_STATUS_MAKER(NotFound, absl::StatusCode::kNotFound)
CALDERA_DEFINE_STATUS_MAKER(AlreadyExists, absl::StatusCode::kAlreadyExists)
CALDERA_DEFINE_STATUS_MAKER(FailedPrecondition, absl::StatusCode::kFailedPrecondition)
CALDERA_DEFINE_STATUS_MAKER(OutOfRange, absl::StatusCode::kOutOfRange)
CALDERA_DEFINE_STATUS_MAKER(Unimplemented, absl::StatusCode::kUnimplemented)
CALDERA_DEFINE_STATUS_MAKER(Unavailable, absl::StatusCode::kUnavailable)
CALDERA_DEFINE_STATUS_MAKER(Aborted, absl::StatusCode::kAborted)
CALDERA_DEFINE_STATUS_MAKER(Cancelled, absl::StatusCode::kCancelled)
CALDERA_DEFINE_STATUS_MAKER(DeadlineExceeded, absl::StatusCode::kDeadlineExceeded)
CALDERA_DEFINE_STATUS_MAKER(DataLoss, absl::StatusCode::kDataLoss)
CALDERA_DEFINE_STATUS_MAKER(Internal, absl::StatusCode::kInternal)
CALDERA_DEFINE_STATUS_MAKER(ResourceExhausted, absl::StatusCode::kResourceExhausted)
CALDERA_DEFINE_STATUS_MAKER(PermissionDenied, absl::StatusCode::kPermissionDenied)
#undef CALDERA_DEFINE_STATUS_MAKER

// The same code with `context: ` put before the message; OK stays OK.
[[nodiscard]] absl::Status WithContext(const absl::Status& status, const std::string& context);

// The Status of errno for an operation on `what` (a path): ENOENT -> NOT_FOUND, EACCES ->
// PERMISSION_DENIED, ENOSPC/EDQUOT/EFBIG -> RESOURCE_EXHAUSTED, EEXIST -> ALREADY_EXISTS, else
// INTERNAL.
[[nodiscard]] absl::Status ErrnoToStatus(int error_number, const std::string& what);

// The message as std::string (absl::string_view is not std::string_view in Debian's build).
[[nodiscard]] std::string MessageOf(const absl::Status& status);

}  // namespace caldera::base

#define CALDERA_CONCAT_INNER(a, b) a##b
#define CALDERA_CONCAT(a, b) CALDERA_CONCAT_INNER(a, b)

#define CALDERA_RETURN_IF_ERROR(expression)                                 \
  do {                                                                      \
    if (absl::Status caldera_status = (expression); !caldera_status.ok()) { \
      return caldera_status;                                                \
    }                                                                       \
  } while (false)

// CALDERA_ASSIGN_OR_RETURN(auto value, Fallible()): declares or assigns, or returns the error.
#define CALDERA_ASSIGN_OR_RETURN(declaration, expression)                                  \
  CALDERA_ASSIGN_OR_RETURN_IMPL(CALDERA_CONCAT(caldera_status_or_, __LINE__), declaration, \
                                expression)
#define CALDERA_ASSIGN_OR_RETURN_IMPL(name, declaration, expression) \
  auto name = (expression);                                          \
  if (!name.ok()) return name.status();                              \
  declaration = *std::move(name)

#endif  // CALDERA_COMMON_BASE_STATUS_H_
