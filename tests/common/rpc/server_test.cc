#include "common/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/health.h"
#include "common/rpc/status_conversion.h"
#include "tests/common/rpc/checkpoint_test_server.h"
#include "tests/common/rpc/test_certificates.h"

namespace caldera::rpc {
namespace {

constexpr char kService[] = "caldera.v1.CheckpointService";
constexpr absl::Duration kTimeout = absl::Seconds(10);

absl::Status Ask(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::QueryWriteStatusResponse response;
  return FromGrpc(
      v1::CheckpointService::NewStub(channel)->QueryWriteStatus(&context, {}, &response));
}

TEST(Server, ListensOnAFreePortAndAnswers) {
  CheckpointTestServer service({});
  const auto server = Server::Start({}, {&service}).value();
  EXPECT_GT(server->port(), 0);
  EXPECT_EQ(server->address(), "127.0.0.1:" + std::to_string(server->port()));
  const auto channel = MakeChannel(server->address(), {}).value();
  EXPECT_TRUE(AwaitConnected(*channel, server->address(), kTimeout).ok());
  EXPECT_TRUE(absl::IsNotFound(Ask(channel)));
}

TEST(Server, RefusesAPortThatIsTaken) {
  CheckpointTestServer service({});
  const auto first = Server::Start({}, {&service}).value();
  const auto second = Server::Start({.listen = first->address()}, {&service});
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_THAT(base::MessageOf(second.status()), testing::HasSubstr(first->address()));
}

TEST(Server, RefusesPlaintextBeyondLoopbackUnlessAllowed) {
  CheckpointTestServer service({});
  const auto refused = Server::Start({.listen = "0.0.0.0:0"}, {&service});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_TRUE(
      Server::Start({.listen = "0.0.0.0:0", .plaintext = PlaintextPolicy::kAnywhere}, {&service})
          .ok());
}

TEST(Server, ReportsHealthPerService) {
  CheckpointTestServer service({});
  const auto server = Server::Start({.health_names = {kService}}, {&service}).value();
  const auto channel = MakeChannel(server->address(), {}).value();
  EXPECT_EQ(CheckHealth(channel, "", kTimeout).value(), ServingStatus::kServing);
  EXPECT_EQ(CheckHealth(channel, kService, kTimeout).value(), ServingStatus::kServing);
  server->SetServing(kService, ServingStatus::kNotServing);
  EXPECT_EQ(CheckHealth(channel, kService, kTimeout).value(), ServingStatus::kNotServing);
  EXPECT_EQ(CheckHealth(channel, "", kTimeout).value(), ServingStatus::kServing);
  EXPECT_TRUE(absl::IsNotFound(CheckHealth(channel, "no.Such", kTimeout).status()));
}

TEST(Server, ReflectionIsAChoiceOfEachServer) {
  for (const Reflection reflection : {Reflection::kOn, Reflection::kOff}) {
    CheckpointTestServer service({});
    const auto server = Server::Start({.reflection = reflection}, {&service}).value();
    grpc::GenericStub stub(MakeChannel(server->address(), {}).value());
    grpc::ClientContext context;
    SetTimeout(context, kTimeout);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
    int tag = 0;
    void* got = nullptr;
    bool ok = false;
    call->StartCall(&tag);
    queue.Next(&got, &ok);
    call->WritesDone(&tag);
    queue.Next(&got, &ok);
    grpc::Status status;
    call->Finish(&status, &tag);
    queue.Next(&got, &ok);
    EXPECT_EQ(status.error_code() == grpc::StatusCode::UNIMPLEMENTED,
              reflection == Reflection::kOff)
        << status.error_message();
  }
}

TEST(Server, RefusesAMessageThatIsTooLong) {
  CheckpointTestServer service({});
  const auto server = Server::Start({.largest_message_bytes = 1000}, {&service}).value();
  const auto stub = v1::CheckpointService::NewStub(MakeChannel(server->address(), {}).value());
  v1::QueryWriteStatusRequest request;
  request.set_upload_id(std::string(2000, 'x'));
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  v1::QueryWriteStatusResponse response;
  EXPECT_EQ(stub->QueryWriteStatus(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(Server, WithoutServicesTellsItsHealthAndNothingElse) {
  const auto server = Server::Start({.health_names = {kService}}, {}).value();
  const auto channel = MakeChannel(server->address(), {}).value();
  EXPECT_EQ(CheckHealth(channel, kService, kTimeout).value(), ServingStatus::kServing);
  EXPECT_TRUE(absl::IsUnimplemented(Ask(channel)));
}

TEST(Server, ShutdownRefusesNewCallsAndEndsWaiters) {
  CheckpointTestServer service({});
  const auto server = Server::Start({}, {&service}).value();
  const auto channel = MakeChannel(server->address(), {}).value();
  EXPECT_TRUE(absl::IsNotFound(Ask(channel)));
  std::thread waiter([&server] { server->Wait(); });
  server->Shutdown(absl::ZeroDuration());
  waiter.join();
  EXPECT_TRUE(absl::IsUnavailable(Ask(channel)));
  server->Shutdown(absl::ZeroDuration());
}

TEST(Channel, RefusesBadAddressesAndPlaintextToOthers) {
  for (const char* bad : {"", "host", "host:", ":80"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeChannel(bad, {}).status())) << bad;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(MakeChannel("example.org:80", {}).status()));
  EXPECT_TRUE(MakeChannel("example.org:80", {.plaintext = PlaintextPolicy::kAnywhere}).ok());
}

TEST(Channel, SaysWhomItCannotReach) {
  CheckpointTestServer service({});
  auto server = Server::Start({}, {&service}).value();
  const std::string address = server->address();
  server.reset();
  const auto channel = MakeChannel(address, {}).value();
  const absl::Status status = AwaitConnected(*channel, address, absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(address));
}

TEST(Credentials, KnowsLoopback) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/x"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.0.0.1.evil.org:1",
                              "localhost.evil.org:1", "", "128.0.0.1:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(Credentials, NameWhatIsMissing) {
  const TlsFiles half{.ca_file = "", .certificate_file = "c.pem", .key_file = ""};
  EXPECT_TRUE(absl::IsInvalidArgument(
      MakeServerCredentials("0.0.0.0:1", half, PlaintextPolicy::kLoopbackOnly).status()));
  const TlsFiles absent{.ca_file = "/nowhere/ca.pem", .certificate_file = "", .key_file = ""};
  const auto status =
      MakeChannelCredentials("h:1", absent, PlaintextPolicy::kLoopbackOnly).status();
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr("/nowhere/ca.pem"));
  const TlsFiles only_ca{.ca_file = "/proc/self/status", .certificate_file = "", .key_file = ""};
  EXPECT_TRUE(absl::IsInvalidArgument(
      MakeServerCredentials("h:1", only_ca, PlaintextPolicy::kLoopbackOnly).status()));
}

TEST(Credentials, MutualTlsLetsInOnlyThoseWithACertificate) {
  const auto directory = base::TempDirectory::Create().value();
  const TlsFiles tls = MakeSelfSigned(directory.path(), "one");
  CheckpointTestServer service({});
  const auto server = Server::Start({.tls = tls}, {&service}).value();
  const std::string address = "localhost:" + std::to_string(server->port());
  EXPECT_TRUE(absl::IsNotFound(Ask(MakeChannel(address, {.tls = tls}).value())));
  const TlsFiles anonymous{.ca_file = tls.ca_file, .certificate_file = "", .key_file = ""};
  EXPECT_TRUE(absl::IsUnavailable(Ask(MakeChannel(address, {.tls = anonymous}).value())));
  EXPECT_TRUE(absl::IsUnavailable(Ask(MakeChannel(address, {}).value())));
}

class Reload : public testing::Test {
 protected:
  // What `from` holds becomes what the server's files hold; by rename, as an operator would.
  void Install(const TlsFiles& from) {
    for (const auto& [source, target] :
         {std::pair(from.key_file, tls_.key_file), std::pair(from.ca_file, tls_.ca_file)}) {
      ASSERT_TRUE(base::ReplaceFile(target, base::ReadFile(source).value()).ok());
    }
  }
  TlsFiles InUse() {
    TlsFiles tls{.ca_file = directory_.path() + "/cert.pem",
                 .certificate_file = directory_.path() + "/cert.pem",
                 .key_file = directory_.path() + "/key.pem"};
    tls.reload_every = absl::Seconds(1);
    return tls;
  }
  bool Connects(const std::string& address, const TlsFiles& tls) {
    return absl::IsNotFound(Ask(MakeChannel(address, {.tls = tls}).value()));
  }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const TlsFiles old_ = MakeSelfSigned(directory_.path(), "old");
  const TlsFiles new_ = MakeSelfSigned(directory_.path(), "new");
  const TlsFiles tls_ = InUse();
};

TEST_F(Reload, ANewCertificateIsUsedWithoutARestart) {
  Install(old_);
  CheckpointTestServer service({});
  const auto server = Server::Start({.tls = tls_}, {&service}).value();
  const std::string address = "localhost:" + std::to_string(server->port());
  EXPECT_TRUE(Connects(address, old_));
  EXPECT_FALSE(Connects(address, new_));
  Install(new_);
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  while (!Connects(address, new_) && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(Connects(address, new_));
  EXPECT_FALSE(Connects(address, old_));
}

}  // namespace
}  // namespace caldera::rpc
