// Exit codes of the `caldera` program; scripts rely on them.
#ifndef CALDERA_CLIENT_EXIT_CODE_H_
#define CALDERA_CLIENT_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"

namespace caldera::client {

enum class ExitCode {
  kOk = 0,
  kFailed = 1,  // the job failed, or anything not listed below
  kUsage = 2,   // wrong flags or arguments
  kNotFound = 3,
  kAuth = 4,         // unauthenticated or not permitted
  kUnavailable = 5,  // coordinator unreachable, or a timeout
  kCancelled = 6,
  kConflict = 7,      // exists already, or the state does not allow it
  kIntegrity = 8,     // bytes that are not what they should be
  kInterrupted = 130  // Ctrl-C
};

// Status OK is kOk; Interrupted() is kInterrupted; the rest goes by code.
ExitCode ExitCodeOf(const absl::Status& status);

// CANCELLED by Ctrl-C or a signal of the user, with a message that says how to go on.
absl::Status Interrupted(const std::string& message);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_EXIT_CODE_H_
