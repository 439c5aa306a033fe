#include "worker/calibrate_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/worker/job_runs.h"
#include "worker/hessian_object.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;

decompose::HessianSum ReadHessian(JobFixture& fixture, const v1::HessianRef& hessian) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(hessian.object().size()));
  Must(fixture.store().ReadObject(hessian.object().sha256(), 0, bytes));
  return Must(DecodeHessian(std::move(bytes), hessian.kind()));
}

TEST(CalibrateJob, CommitsFourHessiansPerLayerAndRange) {
  JobFixture fixture;

  Calibrate(fixture, 1);

  const auto commits = fixture.dispatch().hessians();
  ASSERT_EQ(commits.size(), 4U);
  EXPECT_EQ(CommittedHessians(fixture).size(), 16U);
  const std::vector<std::int64_t> tokens = {5 * 16, 5 * 16, 6 * 16, 6 * 16};  // 11 windows of 16
  for (std::size_t i = 0; i < commits.size(); ++i) {
    EXPECT_EQ(commits[i].lease_id(), "lease");
    EXPECT_EQ(commits[i].attempt(), 1);
    EXPECT_EQ(commits[i].tokens(), tokens[i]);
    ASSERT_EQ(commits[i].hessians_size(), model::kHessianKindCount);
    for (int kind = 0; kind < model::kHessianKindCount; ++kind) {
      const auto sum = ReadHessian(fixture, commits[i].hessians(kind));
      EXPECT_EQ(sum.size, model::HessianSize(SmallConfig(), static_cast<model::HessianKind>(kind)));
      EXPECT_EQ(sum.tokens, tokens[i]);
      EXPECT_GT(sum.packed_lower.front(), 0);
    }
  }
}

TEST(CalibrateJob, StoresTheSameBytesForAnyNumberOfRanks) {
  JobFixture alone;
  Calibrate(alone, 1);

  for (const int ranks : {2, 3}) {
    JobFixture together;
    Calibrate(together, ranks);
    EXPECT_EQ(CommittedHessians(together), CommittedHessians(alone)) << ranks;
  }
}

TEST(CalibrateJob, EndsOnEveryRankWhenACommitIsRefused) {
  JobFixture fixture;
  fixture.dispatch().FailCalls(1, base::FailedPrecondition("stale lease"));

  for (const absl::Status& status : fixture.Run(CalibrateLease(fixture, 0), 2, RunCalibrate)) {
    EXPECT_EQ(status, absl::FailedPreconditionError("stale lease"));
  }
  EXPECT_EQ(fixture.dispatch().calls(), 1);
}

TEST(CalibrateJob, TellsEveryRankThatTheTextIsTooShort) {
  JobFixture fixture;
  v1::Lease lease = CalibrateLease(fixture, 0);
  lease.mutable_spec()->mutable_calibration()->set_samples(1000);

  for (const absl::Status& status : fixture.Run(lease, 2, RunCalibrate)) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("too short"));
  }
}

TEST(CalibrateJob, StopsOnEveryRankWhenCancelled) {
  JobFixture fixture;
  fixture.dispatch().Direct(v1::HeartbeatResponse::CANCEL);
  const auto statuses = fixture.Run(CalibrateLease(fixture, 0), 2, [](TaskContext& context) {
    while (StopReason(context).ok()) absl::SleepFor(absl::Milliseconds(1));
    return RunCalibrate(context);
  });

  for (const absl::Status& status : statuses) EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(fixture.dispatch().hessians().empty());
}

}  // namespace
}  // namespace caldera::worker
