#include "common/rpc/listening.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/rpc/server.h"

namespace caldera::rpc {
namespace {

// Somebody else's socket on a port of its own.
class Listener {
 public:
  Listener() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(socket_.get(), plain, size), 0);
    EXPECT_EQ(listen(socket_.get(), 1), 0);
    EXPECT_EQ(getsockname(socket_.get(), plain, &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  const std::string& address() const { return address_; }

 private:
  const base::UniqueFd socket_;
  std::string address_;
};

TEST(WhyNoListening, HasNothingAgainstAFreePort) {
  EXPECT_EQ(WhyNoListening("127.0.0.1:0"), std::nullopt);
  EXPECT_EQ(WhyNoListening("localhost:0"), std::nullopt);
}

TEST(WhyNoListening, NamesWhatIsInTheWay) {
  const std::string free = std::make_unique<Listener>()->address();
  EXPECT_EQ(WhyNoListening(free), std::nullopt) << "it is gone";
  const Listener other;
  EXPECT_EQ(WhyNoListening(other.address()), "Address already in use");
  EXPECT_EQ(WhyNoListening("192.0.2.1:0"), "Cannot assign requested address");
  EXPECT_NE(WhyNoListening("no such host.invalid:0"), std::nullopt);
  EXPECT_NE(WhyNoListening("7070"), std::nullopt);
}

TEST(WhyNoListening, IsWhatAServerSaysOfATakenPort) {
  const Listener other;
  ServerOptions options;
  options.listen = other.address();
  const auto server = Server::Start(options, {});
  EXPECT_TRUE(absl::IsUnavailable(server.status())) << server.status();
  EXPECT_EQ(base::MessageOf(server.status()), other.address() + ": Address already in use");
}

}  // namespace
}  // namespace caldera::rpc
