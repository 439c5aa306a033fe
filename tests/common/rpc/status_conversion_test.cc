#include "common/rpc/status_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"

namespace caldera::rpc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

absl::Status ThereAndBack(const absl::Status& status) { return FromGrpc(ToGrpc(status)); }

TEST(StatusConversion, KeepsEveryCodeAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(ThereAndBack(status), status);
    EXPECT_EQ(static_cast<int>(ToGrpc(status).error_code()), code);
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(StatusConversion, CarriesAllDetails) {
  const ErrorInfo info{.reason = "STALE_LEASE", .metadata = {{"lease", "l1"}, {"attempt", "2"}}};
  absl::Status status =
      BadRequest({{"spec.rank", "too large"}, {"spec.q_bits", "must be 2, 3 or 4"}});
  status = WithRetryDelay(WithErrorInfo(status, info), absl::Milliseconds(1500));
  const absl::Status received = ThereAndBack(status);
  EXPECT_EQ(received, status);
  EXPECT_EQ(GetErrorInfo(received), info);
  EXPECT_EQ(GetRetryDelay(received), absl::Milliseconds(1500));
  EXPECT_THAT(GetFieldViolations(received),
              ElementsAre(FieldViolation{"spec.rank", "too large"},
                          FieldViolation{"spec.q_bits", "must be 2, 3 or 4"}));
  EXPECT_EQ(base::MessageOf(received), "spec.rank: too large; spec.q_bits: must be 2, 3 or 4");
}

TEST(StatusConversion, AbsentDetailsAreAbsent) {
  const absl::Status status = base::NotFound("x");
  EXPECT_FALSE(GetErrorInfo(status).has_value());
  EXPECT_FALSE(GetRetryDelay(status).has_value());
  EXPECT_THAT(GetFieldViolations(status), IsEmpty());
  EXPECT_TRUE(BadRequest({}).ok());
  EXPECT_TRUE(WithErrorInfo(absl::OkStatus(), {.reason = "X", .metadata = {}}).ok());
}

TEST(StatusConversion, DamagedDetailsCostOnlyThemselves) {
  const absl::Status status = WithErrorInfo(base::Aborted("why"), {.reason = "R", .metadata = {}});
  const grpc::Status sent = ToGrpc(status);
  for (std::size_t length = 0; length < sent.error_details().size(); ++length) {
    const absl::Status received = FromGrpc(grpc::Status(sent.error_code(), sent.error_message(),
                                                        sent.error_details().substr(0, length)));
    EXPECT_TRUE(absl::IsAborted(received));
    EXPECT_EQ(base::MessageOf(received), "why");
  }
}

TEST(StatusConversion, UnknownCodesBecomeUnknown) {
  google::rpc::Status proto;
  for (const int code : {-1, 17, 99}) {
    proto.set_code(code);
    EXPECT_TRUE(absl::IsUnknown(FromProto(proto))) << code;
  }
}

TEST(StatusConversion, AProtoIsTheSameStatus) {
  const absl::Status status =
      WithErrorInfo(base::DataLoss("bad"), {.reason = "R", .metadata = {{"k", "v"}}});
  EXPECT_EQ(FromProto(ToProto(status)), status);
  EXPECT_EQ(ToProto(status).code(), 15);
  EXPECT_TRUE(FromProto(ToProto(absl::OkStatus())).ok());
}

}  // namespace
}  // namespace caldera::rpc
