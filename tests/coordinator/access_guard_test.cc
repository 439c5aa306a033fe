#include "coordinator/access_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;

class AccessGuardTest : public testing::Test {
 protected:
  AccessGuardTest() {
    AddLine("alice", rpc::Role::kUser, alice_, absl::InfiniteFuture());
    AddLine("node1", rpc::Role::kWorker, node_, clock_.Now() + absl::Hours(1));
    EXPECT_TRUE(base::WriteFile(path_, text_).ok());
    tokens_ = rpc::TokenFile::Open(path_).value();
    guard_ = std::make_unique<AccessGuard>(tokens_.get(), &clock_, &refusals_);
  }
  void AddLine(const std::string& id, rpc::Role role, const std::string& token,
               absl::Time expires) {
    text_ += rpc::FormatTokenLine({id, role, base::Sha256Hex(token), expires}) + "\n";
  }
  static CallerFacts With(const std::string& authorization) {
    return {"ipv4:10.0.0.7", authorization, ""};
  }
  void ExpectRefused(const CallerFacts& facts, const std::string& method, absl::StatusCode code,
                     const std::string& reason) {
    const absl::Status status = guard_->Authorize(facts, method).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(ReasonOf(status), reason);
    for (const std::string& secret : {alice_, node_}) {
      EXPECT_THAT(base::MessageOf(status), Not(HasSubstr(secret)));
    }
  }

  base::ManualClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const std::string path_ = directory_.path() + "/tokens";
  const std::string alice_ = rpc::NewToken(base::SeededEntropy(1));
  const std::string node_ = rpc::NewToken(base::SeededEntropy(2));
  std::string text_;
  std::unique_ptr<rpc::TokenFile> tokens_;
  Refusals refusals_{{}, &clock_, {}};
  std::unique_ptr<AccessGuard> guard_;
};

TEST_F(AccessGuardTest, ATokenWithTheRoleIsLetInUnderItsId) {
  EXPECT_EQ(guard_->Authorize(With("Bearer " + alice_), "GetCompressionJob").value(), "alice");
  EXPECT_EQ(guard_->Authorize(With("bearer " + node_), "AcquireLease").value(), "node1");
}

TEST_F(AccessGuardTest, NoTokenIsUnauthenticated) {
  ExpectRefused({"ipv4:10.0.0.7", std::nullopt, ""}, "GetCompressionJob",
                absl::StatusCode::kUnauthenticated, kReasonMissingToken);
}

TEST_F(AccessGuardTest, AnythingButAKnownTokenIsUnauthenticated) {
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), alice_, "Basic " + alice_,
        "Bearer  " + alice_, "Bearer " + alice_ + " ",
        "Bearer " + rpc::NewToken(base::SeededEntropy(3)), "Bearer " + std::string(100'000, 'x')}) {
    ExpectRefused(With(header), "GetCompressionJob", absl::StatusCode::kUnauthenticated,
                  kReasonInvalidToken);
  }
}

TEST_F(AccessGuardTest, ATokenEndsAtItsTime) {
  clock_.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_TRUE(guard_->Authorize(With("Bearer " + node_), "AcquireLease").ok());
  clock_.Advance(absl::Seconds(1));
  ExpectRefused(With("Bearer " + node_), "AcquireLease", absl::StatusCode::kUnauthenticated,
                kReasonExpiredToken);
}

TEST_F(AccessGuardTest, AUserMayNotLeaseAndAWorkerMayNotSubmit) {
  ExpectRefused(With("Bearer " + alice_), "AcquireLease", absl::StatusCode::kPermissionDenied,
                kReasonRoleNotPermitted);
  ExpectRefused(With("Bearer " + node_), "CreateCompressionJob",
                absl::StatusCode::kPermissionDenied, kReasonRoleNotPermitted);
}

TEST_F(AccessGuardTest, ACertificateIsNoToken) {
  ExpectRefused({"ipv4:10.0.0.7", std::nullopt, "node1"}, "AcquireLease",
                absl::StatusCode::kUnauthenticated, kReasonMissingToken);
}

TEST_F(AccessGuardTest, WithoutATokenFileEverybodyIsLetInUnderCertificateOrAddress) {
  const AccessGuard open(nullptr, &clock_, &refusals_);
  EXPECT_EQ(open.Authorize({"ipv4:10.0.0.7", std::nullopt, ""}, "AcquireLease").value(),
            "address ipv4:10.0.0.7");
  EXPECT_EQ(open.Authorize({"ipv4:10.0.0.7", "Bearer x", "node1"}, "AcquireLease").value(),
            "certificate node1");
}

TEST(PeerHost, DropsThePort) {
  EXPECT_EQ(PeerHost("ipv4:127.0.0.1:4321"), "ipv4:127.0.0.1");
  EXPECT_EQ(PeerHost("ipv6:%5B::1%5D:4321"), "ipv6:%5B::1%5D");
  EXPECT_EQ(PeerHost("unix:/run/x"), "unix:/run/x");
  EXPECT_EQ(PeerHost(""), "");
}

}  // namespace
}  // namespace caldera::coordinator
