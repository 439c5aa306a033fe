#include "common/rpc/client_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/token.h"
#include "tests/common/rpc/checkpoint_test_server.h"

namespace caldera::rpc {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ClientTokenTest : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = directory_.path() + "/token";
    EXPECT_TRUE(base::WriteFile(path, text).ok());
    return path;
  }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const std::string token_ = NewToken(base::SeededEntropy(1));
  const std::string other_ = NewToken(base::SeededEntropy(2));
};

TEST_F(ClientTokenTest, ComesFromTheFileElseFromTheVariableElseThereIsNone) {
  const std::string path = Write(token_ + "\n");
  EXPECT_EQ(ClientToken::Open({.file = path, .value = other_}).value()->Get(), token_);
  EXPECT_EQ(ClientToken::Open({.file = "", .value = other_}).value()->Get(), other_);
  EXPECT_EQ(ClientToken::Open({}).value(), nullptr);
}

TEST_F(ClientTokenTest, AnErrorNamesThePlaceAndNotTheContent) {
  const std::string nearly = token_.substr(0, 70);
  const std::string path = Write(nearly);
  for (const TokenPlace& place :
       {TokenPlace{.file = path, .value = ""}, TokenPlace{.file = "", .value = nearly}}) {
    const absl::Status status = ClientToken::Open(place).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(status), HasSubstr(place.file.empty() ? "CALDERA_TOKEN" : path));
    EXPECT_THAT(base::MessageOf(status), Not(HasSubstr(nearly.substr(8))));
  }
  EXPECT_EQ(ClientToken::Open({.file = path + "x", .value = ""}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ClientTokenTest, AFileThatBecomesUnreadableLeavesTheLastToken) {
  const std::string path = Write(token_);
  const auto token = ClientToken::Open({.file = path, .value = ""}).value();
  ASSERT_TRUE(base::RemoveTree(path).ok());
  EXPECT_EQ(token->Get(), token_);
}

TEST_F(ClientTokenTest, ItsFileIsReadAgain) {
  const std::string path = Write(token_);
  const auto token = ClientToken::Open({.file = path, .value = ""}).value();
  Write(other_);
  EXPECT_EQ(token->Get(), other_);  // the first look; the next comes seconds later
}

TEST_F(ClientTokenTest, GoesWithEveryCallOfAChannel) {
  CheckpointTestServer service({.break_read_after = 1});
  auto writer = service.store().Stage("test").value();
  const std::string bytes(3 * kChunkBytes, 'x');
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
  v1::ReadRequest request;
  request.mutable_location()->set_object(writer->Commit().value().sha256);
  const auto server = Server::Start({}, {&service}).value();
  ChannelOptions options;
  options.token = ClientToken::Open({.file = "", .value = token_}).value();
  const auto stub = v1::CheckpointService::NewStub(MakeChannel(server->address(), options).value());
  base::SystemClock clock;
  const auto ignore = [](std::span<const std::byte>) { return absl::OkStatus(); };
  ASSERT_TRUE(DownloadRange(*stub, request, {}, clock, ignore).ok());
  EXPECT_THAT(service.metadata(), SizeIs(2));
  EXPECT_THAT(service.metadata(), Each("Bearer " + token_));
}

}  // namespace
}  // namespace caldera::rpc
