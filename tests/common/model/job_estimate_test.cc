#include "common/model/job_estimate.h"

#include <gtest/gtest.h>

#include "common/model/work_estimate.h"

namespace caldera::model {
namespace {

constexpr MachineRates kRates{1e11, 3e8, 2e8, 1e8, 6e6, 2e6};

ModelConfig Config() {
  ModelConfig config;
  config.hidden_size = 1024;
  config.intermediate_size = 4096;
  config.num_hidden_layers = 8;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 4;
  config.head_dim = 64;
  config.vocab_size = 32000;
  return config;
}

JobSettings Settings(int rank, int factor_bits = 4) {
  JobSettings settings;
  settings.decomposition.rank = rank;
  settings.decomposition.l_bits = factor_bits;
  return WithDefaults(settings);
}

double Seconds(const WorkerSetup& setup) {
  return EstimateNeeds(Config(), Settings(64), setup, kRates).seconds;
}

std::uint64_t Memory(const JobSettings& settings, const WorkerSetup& setup = {}) {
  return EstimatePeakMemory(Config(), settings, setup);
}

TEST(JobEstimate, FlopsOfCalibrationAreThoseOfProductsAndTriangles) {
  const CalibrationWork work = ExpectedCalibration(Config(), Settings(0));
  const double tokens = 128.0 * 512;
  const double weights = 8.0 * (2 * 1024 * 1024 + 2 * 256 * 1024 + 3 * 4096 * 1024);
  const double scores = tokens * 512 / 2 * 8;  // of causal attention, for each head and layer
  EXPECT_NEAR(work.forward_flops / (2 * tokens * weights + 4 * scores * 16 * 64), 1, .02);
  const double squares = 8.0 * (3 * 1024 * 1024 + 4096 * 4096);
  EXPECT_NEAR(work.hessian_flops / (tokens * squares), 1, .1);
}

TEST(JobEstimate, ASlidingWindowSavesScores) {
  ModelConfig config = Config();
  const double full = ExpectedCalibration(config, Settings(0)).forward_flops;
  config.sliding_window = 64;
  EXPECT_LT(ExpectedCalibration(config, Settings(0)).forward_flops, full);
  config.sliding_window = 4096;
  EXPECT_EQ(ExpectedCalibration(config, Settings(0)).forward_flops, full);
}

TEST(JobEstimate, TimeIsWorkOverRates) {
  const JobNeeds needs = EstimateNeeds(Config(), Settings(64), {}, kRates);
  EXPECT_EQ(needs.flops, ExpectedFlops(Config(), Settings(64)));
  EXPECT_GT(needs.cpu_seconds, needs.flops / kRates.sgemm_flops);
  EXPECT_DOUBLE_EQ(needs.seconds, needs.cpu_seconds);
  MachineRates slow = kRates;
  slow.trellis_10 /= 10;
  EXPECT_GT(EstimateNeeds(Config(), Settings(64), {}, slow).seconds, 1.5 * needs.seconds);
  JobSettings lattice = Settings(64, 16);
  lattice.decomposition.codebook = "e8p";
  EXPECT_EQ(EstimateNeeds(Config(), lattice, {}, slow).seconds,
            EstimateNeeds(Config(), lattice, {}, kRates).seconds);
}

TEST(JobEstimate, MixedColumnsCostWhatTheirBitsCost) {
  JobSettings settings = Settings(0);
  settings.decomposition.codebook = "e8p";
  const auto seconds = [&](double q_bits) {
    settings.decomposition.q_bits = q_bits;
    return EstimateNeeds(Config(), settings, {}, {1e15, 3e8, 1e8, 1e7, 6e6, 2e6}).seconds;
  };
  EXPECT_NEAR(seconds(2.5), (seconds(2) + seconds(3)) / 2, .01 * seconds(3));
  EXPECT_NEAR(seconds(3.5), (seconds(3) + seconds(4)) / 2, .01 * seconds(4));
}

TEST(JobEstimate, WorkersAndCoresShareTheTime) {
  EXPECT_NEAR(Seconds({1, 1, 4}) / Seconds({1, 1, 8}), 2, .1);
  EXPECT_NEAR(Seconds({1, 1, 2}) / Seconds({4, 1, 2}), 4, .1);
  EXPECT_EQ(Seconds({8, 1, 2}), Seconds({16, 1, 2}));  // eight layers, four ranges
  const double alone = EstimateNeeds(Config(), Settings(64), {1, 1, 4}, kRates).cpu_seconds;
  EXPECT_GT(EstimateNeeds(Config(), Settings(64), {1, 4, 4}, kRates).cpu_seconds, alone);
}

TEST(JobEstimate, MemoryHoldsTheHessiansOfTheWidestMatrix) {
  const std::uint64_t square = std::uint64_t{4} * 4096 * 4096;
  EXPECT_GT(Memory(Settings(0)), 3 * square);
  EXPECT_GT(Memory(Settings(64)), Memory(Settings(0)));
  EXPECT_LT(Memory(Settings(64), {1, 4, 4}), Memory(Settings(64)));
  EXPECT_GT(Memory(Settings(64), {1, 4, 4}), 3 * square);
  EXPECT_EQ(Memory(Settings(64), {9, 1, 1}), Memory(Settings(64)));
  JobSettings many = Settings(0);
  many.ranges = 64;
  EXPECT_GT(Memory(many), 32 * square);  // partial sums, each half a square
}

}  // namespace
}  // namespace caldera::model
