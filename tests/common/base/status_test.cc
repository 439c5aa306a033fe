#include "common/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace caldera::base {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("{} is odd", value);
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  CALDERA_ASSIGN_OR_RETURN(const int half, Half(value));
  CALDERA_RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(Status, MacrosPassErrorsOn) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_EQ(MessageOf(Quarter(3).status()), "3 is odd");
  EXPECT_EQ(MessageOf(Quarter(6).status()), "3 is odd");
}

TEST(Status, ContextComesFirstAndKeepsCodeAndPayload) {
  absl::Status status = NotFound("tensor x");
  status.SetPayload("url", absl::Cord("detail"));
  const absl::Status wrapped = WithContext(status, "file y");
  EXPECT_TRUE(absl::IsNotFound(wrapped));
  EXPECT_EQ(MessageOf(wrapped), "file y: tensor x");
  EXPECT_TRUE(wrapped.GetPayload("url").has_value());
  EXPECT_TRUE(WithContext(absl::OkStatus(), "file y").ok());
}

TEST(Status, ErrnoBecomesACodeThatCallersCanActOn) {
  EXPECT_TRUE(absl::IsNotFound(ErrnoToStatus(ENOENT, "x")));
  EXPECT_TRUE(absl::IsPermissionDenied(ErrnoToStatus(EACCES, "x")));
  EXPECT_TRUE(absl::IsResourceExhausted(ErrnoToStatus(ENOSPC, "x")));
  EXPECT_TRUE(absl::IsResourceExhausted(ErrnoToStatus(EFBIG, "x")));
  EXPECT_TRUE(absl::IsAlreadyExists(ErrnoToStatus(EEXIST, "x")));
  EXPECT_TRUE(absl::IsUnavailable(ErrnoToStatus(EIO, "x")));
  EXPECT_TRUE(absl::IsUnavailable(ErrnoToStatus(ESTALE, "x")));
  EXPECT_TRUE(absl::IsInternal(ErrnoToStatus(EBADF, "x")));
  EXPECT_EQ(MessageOf(ErrnoToStatus(ENOENT, "/a/b")), "/a/b: No such file or directory");
}

}  // namespace
}  // namespace caldera::base
