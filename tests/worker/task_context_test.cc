#include "worker/task_context.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "tests/worker/job_fixture.h"

namespace caldera::worker {
namespace {

// Published checkpoints depend on these values: sha256("SEED/LABEL") by another implementation.
TEST(SeedFor, IsFixedForAllTime) {
  EXPECT_EQ(SeedFor(0, "model.layers.0.self_attn.q_proj.weight"), 0xd77418ac3945bce5U);
  EXPECT_EQ(SeedFor(~std::uint64_t{0}, ""), 0x4b349bfada6f704bU);
}

TEST(SeedFor, DiffersBetweenLabelsAndSeeds) {
  std::set<std::uint64_t> seeds;
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    for (int layer = 0; layer < 20; ++layer) seeds.insert(SeedFor(seed, std::to_string(layer)));
  }

  EXPECT_EQ(seeds.size(), 60U);
}

TEST(TaskContext, GivesTheConfigurationToEveryRank) {
  JobFixture fixture;
  const auto statuses = fixture.Run(fixture.MakeLease(), 3, [](TaskContext& context) {
    CALDERA_ASSIGN_OR_RETURN(const model::ModelConfig config, ShareConfig(context));
    return config == SmallConfig() ? absl::OkStatus() : base::Internal("another configuration");
  });

  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST(TaskContext, GoesOnWhileNobodyStopsIt) {
  JobFixture fixture;
  const auto statuses =
      fixture.Run(fixture.MakeLease(), 2, [](TaskContext& context) { return StopReason(context); });

  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST(TaskContext, TellsEveryRankWhyRankZeroStops) {
  JobFixture fixture;
  fixture.dispatch().Direct(v1::HeartbeatResponse::CANCEL);
  const auto statuses = fixture.Run(fixture.MakeLease(), 3, [](TaskContext& context) {
    const dist::Interrupt interrupt = InterruptOf(context);
    while (interrupt.CheckStop().ok()) absl::SleepFor(absl::Milliseconds(1));
    return StopReason(context);
  });

  for (const absl::Status& status : statuses) EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST(TaskContext, EveryRankLeavesAStepSoonAfterRankZeroIsTold) {
  JobFixture fixture;
  fixture.dispatch().Direct(v1::HeartbeatResponse::CANCEL);
  const auto statuses = fixture.Run(fixture.MakeLease(), 3, [](TaskContext& context) {
    const dist::Interrupt interrupt = InterruptOf(context);
    while (!interrupt.Left()) absl::SleepFor(absl::Milliseconds(1));
    bool another_thread_knows = false;
    std::thread([&] { another_thread_knows = interrupt.Left(); }).join();
    EXPECT_TRUE(another_thread_knows);
    return interrupt.CheckStop();
  });

  for (const absl::Status& status : statuses) EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

}  // namespace
}  // namespace caldera::worker
