#include "common/rpc/listening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/rpc/server.h"

namespace caldera::rpc {
namespace {

using testing::HasSubstr;

TEST(WhyNoListening, HasNothingAgainstAFreePort) {
  EXPECT_EQ(WhyNoListening("127.0.0.1:0"), std::nullopt);
  EXPECT_EQ(WhyNoListening("localhost:0"), std::nullopt);
}

TEST(WhyNoListening, NamesWhatIsInTheWay) {
  const auto server = Server::Start({}, {}).value();
  EXPECT_EQ(WhyNoListening(server->address()), "Address already in use");
  EXPECT_EQ(WhyNoListening("192.0.2.1:0"), "Cannot assign requested address");
  EXPECT_NE(WhyNoListening("no such host.invalid:0"), std::nullopt);
  EXPECT_NE(WhyNoListening("7070"), std::nullopt);
}

TEST(Server, SaysThatItsPortIsTaken) {
  const auto first = Server::Start({}, {}).value();
  ServerOptions options;
  options.listen = first->address();
  const auto second = Server::Start(options, {});
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_EQ(base::MessageOf(second.status()), first->address() + ": Address already in use");
}

}  // namespace
}  // namespace caldera::rpc
