#include "worker/job_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/base/status.h"
#include "tests/worker/job_fixture.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;
using Windows = std::vector<std::vector<std::int32_t>>;

TEST(JobInputs, CutsTheWindowsIntoContiguousRangesThatCoverThemOnce) {
  JobFixture fixture;
  const v1::Lease lease = fixture.MakeLease();
  const auto inputs = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access()));
  const Windows all = Must(inputs->RangeWindows(lease, 0, 1));
  ASSERT_EQ(all.size(), 11U);
  for (const auto& window : all) EXPECT_EQ(window.size(), 16U);

  for (const int ranges : {2, 3, 11, 13}) {
    Windows joined;
    std::vector<std::size_t> counts;
    for (int range = 0; range < ranges; ++range) {
      const Windows part = Must(inputs->RangeWindows(lease, range, ranges));
      counts.push_back(part.size());
      joined.insert(joined.end(), part.begin(), part.end());
    }
    EXPECT_EQ(joined, all) << ranges;
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    EXPECT_LE(*most - *least, 1U) << ranges;
  }
}

TEST(JobInputs, GivesTheSameWindowsThroughTheCoordinator) {
  JobFixture fixture;
  const v1::Lease lease = fixture.MakeLease();
  const auto direct = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access()));

  const auto streamed = Must(JobInputs::Open(lease, Reach::kStreamed, fixture.access()));

  EXPECT_EQ(Must(streamed->RangeWindows(lease, 1, 2)), Must(direct->RangeWindows(lease, 1, 2)));
  EXPECT_EQ(streamed->model().config, direct->model().config);
  EXPECT_EQ(streamed->model().fingerprint_sha256, lease.model_sha256());
}

TEST(JobInputs, GoesThroughTheCoordinatorWhereThisHostHasNoFiles) {
  JobFixture fixture;
  v1::Lease lease = fixture.MakeLease();
  const auto local = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access()));
  lease.mutable_spec()->set_model_uri("file:///nowhere/model");
  lease.mutable_spec()->mutable_calibration()->set_uri("file:///nowhere/text.txt");

  const auto inputs = JobInputs::Open(lease, Reach::kDirect, fixture.access());

  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_EQ(Must((*inputs)->RangeWindows(lease, 0, 2)), Must(local->RangeWindows(lease, 0, 2)));
}

TEST(JobInputs, GoesThroughTheCoordinatorWhereThisHostHasAnotherModel) {
  JobFixture fixture;
  v1::Lease lease = fixture.MakeLease();
  const auto elsewhere = Must(base::TempDirectory::Create());
  model::ModelConfig other = SmallConfig();
  other.rope_theta = 5000;
  WriteSmallModel(elsewhere.path(), other);
  lease.mutable_spec()->set_model_uri("file://" + elsewhere.path());

  const auto inputs = JobInputs::Open(lease, Reach::kDirect, fixture.access());

  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_EQ((*inputs)->model().config, SmallConfig());
}

TEST(JobInputs, GoesThroughTheCoordinatorForWhatLiesOutsideItsRoots) {
  JobFixture fixture;
  const v1::Lease lease = fixture.MakeLease();
  v1::Lease unknown_there = lease;
  unknown_there.set_job("compressionJobs/unknown");
  const auto root = Must(base::TempDirectory::Create());
  const auto roots = Must(base::AllowedRoots::Make({root.path()}));

  const auto streamed = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access(), roots));

  const auto direct = Must(JobInputs::Open(unknown_there, Reach::kDirect, fixture.access()));
  EXPECT_EQ(Must(streamed->RangeWindows(lease, 0, 1)),
            Must(direct->RangeWindows(unknown_there, 0, 1)));
  EXPECT_TRUE(absl::IsNotFound(
      JobInputs::Open(unknown_there, Reach::kDirect, fixture.access(), roots).status()));
}

TEST(JobInputs, RefusesAModelWithAnotherFingerprint) {
  JobFixture fixture;
  v1::Lease lease = fixture.MakeLease();
  lease.set_model_sha256(std::string(64, 'a'));

  for (const Reach reach : {Reach::kDirect, Reach::kStreamed}) {
    const auto inputs = JobInputs::Open(lease, reach, fixture.access());
    EXPECT_TRUE(absl::IsDataLoss(inputs.status())) << inputs.status();
    EXPECT_THAT(base::MessageOf(inputs.status()), HasSubstr(lease.spec().model_uri()));
    EXPECT_THAT(base::MessageOf(inputs.status()), HasSubstr(lease.model_sha256()));
  }
}

TEST(JobInputs, ServesLeasesOfItsOwnJobAndModelOnly) {
  JobFixture fixture;
  const v1::Lease lease = fixture.MakeLease();
  const auto inputs = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access()));
  v1::Lease other_lease = lease;
  other_lease.set_lease_id("another");
  v1::Lease other_job = lease;
  other_job.set_job("compressionJobs/other");
  v1::Lease other_model = lease;
  other_model.set_model_sha256(std::string(64, 'a'));

  EXPECT_TRUE(inputs->Fits(lease));
  EXPECT_TRUE(inputs->Fits(other_lease));
  EXPECT_FALSE(inputs->Fits(other_job));
  EXPECT_FALSE(inputs->Fits(other_model));
}

TEST(JobInputs, TellsWhenTheTextIsTooShort) {
  JobFixture fixture;
  v1::Lease lease = fixture.MakeLease();
  lease.mutable_spec()->mutable_calibration()->set_samples(100);
  const auto inputs = Must(JobInputs::Open(lease, Reach::kDirect, fixture.access()));

  const auto windows = inputs->RangeWindows(lease, 0, 1);

  EXPECT_TRUE(absl::IsInvalidArgument(windows.status())) << windows.status();
  EXPECT_THAT(base::MessageOf(windows.status()), HasSubstr("too short"));
}

}  // namespace
}  // namespace caldera::worker
