#include "coordinator/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

class RefusalsTest : public testing::Test {
 protected:
  absl::Status Answer(const std::string& peer, const std::string& reason = kReasonMissingToken) {
    return refusals_.Answer(peer, "GetCompressionJob",
                            WithReason(absl::UnauthenticatedError("no token"), reason));
  }
  absl::StatusCode Refuse(const std::string& peer,
                          const std::string& reason = kReasonMissingToken) {
    return Answer(peer, reason).code();
  }
  int Lines() const {
    const std::string text = stream_.str();
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }

  base::ManualClock clock_;
  std::ostringstream stream_;
  Refusals refusals_{{.log_every = absl::Minutes(10), .burst = 3, .per_second = 1, .most_peers = 4},
                     &clock_,
                     base::Logger::ToStream(stream_, {})};
};

TEST_F(RefusalsTest, TheAnswerIsTheStatusAndALineSaysWhoAndWhy) {
  EXPECT_EQ(Refuse("a"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Lines(), 1);
  for (const char* part : {"\"peer\":\"a\"", "\"method\":\"GetCompressionJob\"",
                           "\"reason\":\"MISSING_TOKEN\"", "no token", "\"level\":\"warning\""}) {
    EXPECT_THAT(stream_.str(), HasSubstr(part));
  }
}

TEST_F(RefusalsTest, EachPeerAndReasonIsLoggedOnceInAWhile) {
  for (int i = 0; i < 3; ++i) Refuse("a");
  Refuse("b");
  Refuse("b", kReasonInvalidToken);
  EXPECT_EQ(Lines(), 3);
  clock_.Advance(absl::Minutes(10));
  Refuse("a");
  EXPECT_EQ(Lines(), 4);
  EXPECT_THAT(stream_.str(), HasSubstr("2 more"));
}

TEST_F(RefusalsTest, WhoGoesOnIsToldToWait) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Refuse("a"), absl::StatusCode::kUnauthenticated);
  const absl::Status status = Answer("a");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), kReasonTooManyRefusals);
  EXPECT_EQ(rpc::GetRetryDelay(status), absl::Seconds(1));
  EXPECT_EQ(Refuse("b"), absl::StatusCode::kUnauthenticated);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Refuse("a"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Refuse("a"), absl::StatusCode::kResourceExhausted);
}

TEST_F(RefusalsTest, PeersBeyondThoseItRemembersCountAsOne) {
  for (const char* peer : {"a", "b", "c", "d"}) Refuse(peer);
  for (const char* peer : {"e", "f", "g"}) {
    EXPECT_EQ(Refuse(peer), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_EQ(Refuse("h"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Refuse("d"), absl::StatusCode::kUnauthenticated);
  clock_.Advance(absl::Minutes(11));
  EXPECT_EQ(Refuse("i"), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(stream_.str(), HasSubstr("\"peer\":\"i\""));
}

}  // namespace
}  // namespace caldera::coordinator
