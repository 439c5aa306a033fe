#include "common/rpc/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace caldera::rpc {
namespace {

using testing::HasSubstr;

TEST(RepeatFilter, LetsAMessagePassOnceInAWhile) {
  RepeatFilter filter(absl::Minutes(10));
  const absl::Time start = absl::UnixEpoch();
  EXPECT_TRUE(filter.Pass("a", start));
  EXPECT_TRUE(filter.Pass("b", start));
  EXPECT_FALSE(filter.Pass("a", start + absl::Minutes(9)));
  EXPECT_TRUE(filter.Pass("a", start + absl::Minutes(10)));
  EXPECT_FALSE(filter.Pass("a", start + absl::Minutes(11)));
}

TEST(RepeatFilter, RemembersOnlySoMany) {
  RepeatFilter filter(absl::Minutes(10));
  int passed = 0;
  for (int i = 0; i < 1000; ++i) {
    if (filter.Pass(std::to_string(i), absl::UnixEpoch())) ++passed;
  }
  EXPECT_EQ(passed, 256);
  EXPECT_TRUE(filter.Pass("later", absl::UnixEpoch() + absl::Hours(1)));
}

TEST(RouteGrpcLog, TurnsMessagesOfGrpcIntoLinesOfOurs) {
  // Before it is started gRPC says nothing at all.
  grpc_init();
  std::ostringstream stream;
  RouteGrpcLog(base::Logger::ToStream(stream, {}));
  gpr_log(GPR_ERROR, "a handshake failed");
  gpr_log(GPR_ERROR, "a handshake failed");
  RouteGrpcLog({});
  grpc_shutdown();
  const std::string lines = stream.str();
  EXPECT_THAT(lines, HasSubstr("\"level\":\"warning\",\"message\":\"gRPC: a handshake failed\""));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1);
}

}  // namespace
}  // namespace caldera::rpc
