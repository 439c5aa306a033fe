// Tokens, roles and limits as callers of a whole coordinator process meet them.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <sstream>

#include "absl/time/clock.h"
#include "caldera/v1/checkpoint.grpc.pb.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "common/base/sha256.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/health.h"
#include "coordinator/access_rules.h"
#include "coordinator/error_details.h"
#include "coordinator/process.h"
#include "tests/coordinator/all_methods.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kTimeout = absl::Seconds(60);

class Access : public testing::Test {
 protected:
  Access() {
    AddToken("alice", rpc::Role::kUser, user_);
    AddToken("node1", rpc::Role::kWorker, worker_);
    AddToken("root", rpc::Role::kAdmin, admin_);
    tokens_ += rpc::FormatTokenLine({"late", rpc::Role::kAdmin, base::Sha256Hex(expired_),
                                     absl::Now() - absl::Hours(1)}) +
               "\n";
    Must(base::WriteFile(token_file_, tokens_));
  }

  void AddToken(const std::string& id, rpc::Role role, const std::string& token) {
    tokens_ +=
        rpc::FormatTokenLine({id, role, base::Sha256Hex(token), absl::InfiniteFuture()}) + "\n";
  }
  ProcessOptions Options() const {
    ProcessOptions options;
    options.state_dir = directory_.path() + "/state";
    options.token_file = token_file_;
    options.tick = absl::Milliseconds(20);
    return options;
  }
  void Start(const ProcessOptions& options) {
    process_ = Must(Process::Start(options, &clock_, base::Logger::ToStream(log_, {})));
  }
  // A channel that sends `token`; "" = none.
  std::shared_ptr<grpc::Channel> Channel(const std::string& token) const {
    rpc::ChannelOptions options;
    options.token = Must(rpc::ClientToken::Open({.file = "", .value = token}));
    return Must(rpc::MakeChannel(process_->address(), options));
  }
  // Calls a method of any kind with one empty request.
  static absl::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel,
                                const std::string& path) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    rpc::SetTimeout(context, kTimeout);
    const grpc::ByteBuffer request{nullptr, 0};
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, path, {}, &request, &response,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    return rpc::FromGrpc(done.get_future().get());
  }
  absl::StatusOr<v1::CompressionJob> Create(const std::string& token, const v1::JobSpec& spec) {
    const auto stub = v1::CompressionService::NewStub(Channel(token));
    grpc::ClientContext context;
    rpc::SetTimeout(context, kTimeout);
    v1::CreateCompressionJobRequest request;
    *request.mutable_spec() = spec;
    v1::CompressionJob job;
    const grpc::Status status = stub->CreateCompressionJob(&context, request, &job);
    if (!status.ok()) return rpc::FromGrpc(status);
    return job;
  }
  std::string StopAndReadLog() {
    process_->Stop(absl::ZeroDuration());
    process_.reset();
    return log_.str();
  }

  const base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  const std::string token_file_ = directory_.path() + "/tokens";
  const std::string user_ = rpc::NewToken(base::SeededEntropy(1));
  const std::string worker_ = rpc::NewToken(base::SeededEntropy(2));
  const std::string admin_ = rpc::NewToken(base::SeededEntropy(3));
  const std::string expired_ = rpc::NewToken(base::SeededEntropy(4));
  const std::string unknown_ = rpc::NewToken(base::SeededEntropy(5));
  std::string tokens_;
  base::SystemClock clock_;
  std::ostringstream log_;
  std::unique_ptr<Process> process_;
};

TEST_F(Access, EveryMethodRefusesMissingUnknownAndExpiredTokens) {
  ProcessOptions options = Options();
  options.refusals.burst = 1000;
  Start(options);
  for (const auto& [token, reason] :
       {std::pair(std::string(), kReasonMissingToken), std::pair(unknown_, kReasonInvalidToken),
        std::pair(expired_, kReasonExpiredToken)}) {
    const auto channel = Channel(token);
    for (const Method& method : AllMethods()) {
      const absl::Status status = CallEmpty(channel, method.path);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << method.path;
      EXPECT_EQ(ReasonOf(status), reason) << method.path;
    }
  }
}

TEST_F(Access, EveryMethodIsOpenToItsRolesOnly) {
  ProcessOptions options = Options();
  options.refusals.burst = 1000;
  Start(options);
  for (const auto& [role, token] :
       {std::pair(rpc::Role::kUser, user_), std::pair(rpc::Role::kWorker, worker_),
        std::pair(rpc::Role::kAdmin, admin_)}) {
    const auto channel = Channel(token);
    for (const Method& method : AllMethods()) {
      const absl::Status status = CallEmpty(channel, method.path);
      const bool refused = ReasonOf(status) == kReasonRoleNotPermitted;
      EXPECT_EQ(refused, !MayCall(role, method.name))
          << rpc::RoleName(role) << " " << method.path << " " << status;
      EXPECT_EQ(refused, absl::IsPermissionDenied(status)) << method.path;
      EXPECT_FALSE(absl::IsUnauthenticated(status)) << method.path;
    }
  }
}

TEST_F(Access, HealthIsOpenToAll) {
  Start(Options());
  EXPECT_EQ(Must(rpc::CheckHealth(Channel(""), "", kTimeout)), rpc::ServingStatus::kServing);
}

TEST_F(Access, ARefusedCallIsLoggedOnceWithoutTheToken) {
  Start(Options());
  for (const std::string& token : {unknown_, expired_, user_}) {
    for (int i = 0; i < 3; ++i) {
      CallEmpty(Channel(token), "/caldera.v1.DispatchService/AcquireLease").IgnoreError();
    }
  }
  const std::string log = StopAndReadLog();
  for (const char* reason : {"INVALID_TOKEN", "EXPIRED_TOKEN", "ROLE_NOT_PERMITTED"}) {
    const std::string mark = std::string("\"reason\":\"") + reason + "\"";
    ASSERT_THAT(log, HasSubstr(mark));
    EXPECT_EQ(log.find(mark), log.rfind(mark)) << reason;
  }
  EXPECT_THAT(log, HasSubstr("\"peer\":\"ipv4:127.0.0.1\""));
  EXPECT_THAT(log, HasSubstr("alice has the role user, which may not call AcquireLease"));
  for (const std::string& token : {unknown_, expired_, user_}) {
    EXPECT_THAT(log, Not(HasSubstr(token.substr(8))));
  }
}

TEST_F(Access, RefusedCallsAreBoundedAndOthersOfTheSameHostGoOn) {
  ProcessOptions options = Options();
  options.refusals.burst = 3;
  options.refusals.per_second = 1e-3;
  Start(options);
  const std::string path = "/caldera.v1.CompressionService/ListCompressionJobs";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(absl::IsUnauthenticated(CallEmpty(Channel(""), path)));
  const absl::Status status = CallEmpty(Channel(""), path);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), kReasonTooManyRefusals);
  EXPECT_TRUE(CallEmpty(Channel(user_), path).ok());
}

TEST_F(Access, ATokenTakenOutOfTheFileIsNoLongerLetIn) {
  Start(Options());
  const std::string path = "/caldera.v1.CompressionService/ListCompressionJobs";
  const auto channel = Channel(user_);
  EXPECT_TRUE(CallEmpty(channel, path).ok());
  Must(base::ReplaceFile(token_file_, "# nobody\n"));
  const absl::Time give_up = absl::Now() + kTimeout;
  while (CallEmpty(channel, path).ok() && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(absl::IsUnauthenticated(CallEmpty(channel, path)));
  EXPECT_THAT(StopAndReadLog(), HasSubstr("has changed: 0 tokens"));
}

TEST_F(Access, ABadTokenFileStopsTheStartAndLaterChangesNothing) {
  ProcessOptions options = Options();
  options.token_file += "-absent";
  EXPECT_TRUE(absl::IsNotFound(Process::Start(options, &clock_, {}).status()));
  Start(Options());
  Must(base::ReplaceFile(token_file_, "nonsense\n"));
  absl::SleepFor(absl::Milliseconds(200));  // several looks at the file
  EXPECT_TRUE(CallEmpty(Channel(user_), "/caldera.v1.CompressionService/ListCompressionJobs").ok());
  const std::string log = StopAndReadLog();
  const std::string mark = "tokens: line 1";
  ASSERT_THAT(log, HasSubstr(mark));
  EXPECT_EQ(log.find(mark), log.rfind(mark));
}

TEST_F(Access, AJobTellsWhoMadeItAndEachHasSoManyOpen) {
  ProcessOptions options = Options();
  options.max_open_jobs = 1;
  Start(options);
  v1::JobSpec spec = WriteTinyJob(directory_.path());
  EXPECT_EQ(Must(Create(user_, spec)).owner(), "alice");
  const absl::Status second = Create(user_, spec).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(second), kReasonTooManyOpenJobs);
  spec.set_output_uri(spec.output_uri() + "-2");
  EXPECT_EQ(Must(Create(admin_, spec)).owner(), "root");
}

TEST_F(Access, AJobMayNameNothingOutsideTheAllowedRoots) {
  ProcessOptions options = Options();
  options.allow_roots = {directory_.path() + "/jobs"};
  Must(base::MakeDirectories(options.allow_roots[0]));
  Start(options);
  const v1::JobSpec inside = WriteTinyJob(options.allow_roots[0]);
  const v1::JobSpec outside = WriteTinyJob(directory_.path());
  std::vector<v1::JobSpec> specs(3, inside);
  specs[0].set_model_uri(outside.model_uri());
  specs[1].set_output_uri(outside.output_uri());
  specs[2].mutable_calibration()->set_uri(outside.calibration().uri());
  for (const v1::JobSpec& spec : specs) {
    const absl::Status status = Create(user_, spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    EXPECT_EQ(ReasonOf(status), kReasonPlaceNotAllowed);
  }
  EXPECT_TRUE(Create(user_, inside).ok());
}

TEST_F(Access, AModelFileThatBecomesALinkOutOfTheRootsIsNotRead) {
  ProcessOptions options = Options();
  options.allow_roots = {directory_.path() + "/jobs"};
  Must(base::MakeDirectories(options.allow_roots[0]));
  Start(options);
  const v1::JobSpec spec = WriteTinyJob(options.allow_roots[0]);
  v1::ReadRequest request;
  request.set_job(Must(Create(user_, spec)).name());
  request.mutable_location()->set_model_file("config.json");
  const auto stub = v1::CheckpointService::NewStub(Channel(user_));
  const auto read = [&] {
    return rpc::DownloadRange(*stub, request, {}, clock_,
                              [](std::span<const std::byte>) { return absl::OkStatus(); })
        .status();
  };
  EXPECT_TRUE(read().ok());
  const std::string file = options.allow_roots[0] + "/model/config.json";
  std::filesystem::remove(file);
  std::filesystem::create_symlink(token_file_, file);
  EXPECT_TRUE(absl::IsPermissionDenied(read())) << read();
}

TEST_F(Access, AFieldThatIsTooLongIsNamed) {
  Start(Options());
  v1::JobSpec spec = WriteTinyJob(directory_.path());
  spec.mutable_calibration()->set_uri("/" + std::string(5000, 'x'));
  const absl::Status status = Create(user_, spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(rpc::GetFieldViolations(status).size(), 1U);
  EXPECT_EQ(rpc::GetFieldViolations(status)[0].field, "spec.calibration.uri");
  spec.mutable_calibration()->set_uri("/" + std::string(5 << 20, 'x'));
  EXPECT_EQ(Create(user_, spec).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace caldera::coordinator
