#include "client/exit_code.h"

#include <gtest/gtest.h>

#include <vector>

namespace caldera::client {
namespace {

TEST(ExitCode, FollowsTheStatusCode) {
  struct Case {
    absl::StatusCode status;
    int exit_code;
  };
  const std::vector<Case> cases = {
      {absl::StatusCode::kOk, 0},
      {absl::StatusCode::kUnknown, 1},
      {absl::StatusCode::kInvalidArgument, 1},
      {absl::StatusCode::kResourceExhausted, 1},
      {absl::StatusCode::kInternal, 1},
      {absl::StatusCode::kUnimplemented, 1},
      {absl::StatusCode::kOutOfRange, 1},
      {absl::StatusCode::kNotFound, 3},
      {absl::StatusCode::kUnauthenticated, 4},
      {absl::StatusCode::kPermissionDenied, 4},
      {absl::StatusCode::kUnavailable, 5},
      {absl::StatusCode::kDeadlineExceeded, 5},
      {absl::StatusCode::kCancelled, 6},
      {absl::StatusCode::kAlreadyExists, 7},
      {absl::StatusCode::kFailedPrecondition, 7},
      {absl::StatusCode::kAborted, 7},
      {absl::StatusCode::kDataLoss, 8},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(static_cast<int>(ExitCodeOf(absl::Status(c.status, "x"))), c.exit_code)
        << absl::StatusCodeToString(c.status);
  }
}

TEST(ExitCode, SaysInterruptedAsShellsDo) {
  EXPECT_EQ(static_cast<int>(ExitCode::kInterrupted), 128 + 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
}

}  // namespace
}  // namespace caldera::client
