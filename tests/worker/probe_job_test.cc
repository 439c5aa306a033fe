#include "worker/probe_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "numerics/decompose/loss_curve.h"
#include "tests/worker/job_runs.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;

// Layers [first, last) with all their Hessians.
v1::Lease ProbeLease(const JobFixture& fixture, int first, int last) {
  v1::Lease lease = fixture.MakeLease();
  lease.mutable_spec()->mutable_decomposition()->set_rank(0);
  v1::ProbeTask& task = *lease.mutable_task()->mutable_probe();
  task.set_first_layer(first);
  task.set_last_layer(last);
  for (const v1::CommitHessiansRequest& commit : fixture.dispatch().hessians()) {
    for (const v1::HessianRef& hessian : commit.hessians()) {
      if (hessian.layer() >= first && hessian.layer() < last) *task.add_hessians() = hessian;
    }
  }
  return lease;
}

// What rank 0 has to say, as bytes.
std::vector<std::string> Probe(JobFixture& fixture, const v1::Lease& lease, int ranks) {
  std::vector<std::string> probes;
  const auto statuses = fixture.Run(lease, ranks, [&](TaskContext& context) {
    const absl::Status status = RunProbe(context);
    EXPECT_TRUE(context.leader != nullptr || context.probes.empty());
    for (const v1::MatrixProbe& probe : context.probes) probes.push_back(probe.SerializeAsString());
    return status;
  });
  for (const absl::Status& status : statuses) Must(status);
  return probes;
}

TEST(ProbeJob, DescribesEveryMatrixOfItsLayers) {
  JobFixture fixture;
  Calibrate(fixture, 1);

  const auto probes = Probe(fixture, ProbeLease(fixture, 0, 2), 1);

  ASSERT_EQ(probes.size(), 14U);
  for (std::size_t i = 0; i < probes.size(); ++i) {
    v1::MatrixProbe probe;
    ASSERT_TRUE(probe.ParseFromString(probes[i]));
    const auto projection = static_cast<model::Projection>(i % 7);
    EXPECT_EQ(probe.layer(), static_cast<int>(i / 7));
    EXPECT_EQ(probe.projection(), model::ProjectionPath(projection));
    EXPECT_EQ(probe.rows(), model::ShapeOf(SmallConfig(), projection).rows);
    EXPECT_EQ(probe.columns(), model::ShapeOf(SmallConfig(), projection).columns);
    EXPECT_GT(probe.relative_error(), 0);
    EXPECT_LT(probe.relative_error(), 1);
    EXPECT_GT(probe.divergence(), 0);
    EXPECT_EQ(probe.loss_curve_size(), decompose::kLossCurveSteps + 1);
  }
}

TEST(ProbeJob, FindsTheSameForAnyNumberOfRanksAndTasks) {
  JobFixture fixture;
  Calibrate(fixture, 1);
  const auto whole = Probe(fixture, ProbeLease(fixture, 0, 2), 1);

  for (const int ranks : {2, 3}) {
    EXPECT_EQ(Probe(fixture, ProbeLease(fixture, 0, 2), ranks), whole) << ranks;
  }
  auto parts = Probe(fixture, ProbeLease(fixture, 0, 1), 2);
  const auto second = Probe(fixture, ProbeLease(fixture, 1, 2), 1);
  parts.insert(parts.end(), second.begin(), second.end());
  EXPECT_EQ(parts, whole);
}

TEST(ProbeJob, NamesTheMatrixWhoseHessianIsMissing) {
  JobFixture fixture;
  Calibrate(fixture, 1);
  v1::Lease lease = ProbeLease(fixture, 1, 2);
  lease.mutable_task()->mutable_probe()->clear_hessians();

  for (const absl::Status& status : fixture.Run(lease, 2, RunProbe)) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("model.layers.1.self_attn.q_proj"));
  }
}

TEST(ProbeJob, StopsOnEveryRankWhenCancelled) {
  JobFixture fixture;
  Calibrate(fixture, 1);
  const v1::Lease lease = ProbeLease(fixture, 0, 2);
  fixture.dispatch().Direct(v1::HeartbeatResponse::CANCEL);

  const auto statuses = fixture.Run(lease, 2, [](TaskContext& context) {
    while (StopReason(context).ok()) absl::SleepFor(absl::Milliseconds(1));
    return RunProbe(context);
  });

  for (const absl::Status& status : statuses) EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

}  // namespace
}  // namespace caldera::worker
