#include "numerics/llama/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <numbers>

namespace caldera::llama {
namespace {

model::ModelConfig Config(std::int64_t head_dim, double theta) {
  model::ModelConfig config;
  config.head_dim = head_dim;
  config.rope_theta = theta;
  return config;
}

TEST(Rope, FrequenciesFallGeometricallyFromOne) {
  const std::vector<double> f = RopeFrequencies(Config(8, 10000));
  ASSERT_EQ(f.size(), 4U);
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_DOUBLE_EQ(f[k], std::pow(10.0, -static_cast<double>(k)));
  }
}

TEST(Rope, LinearScalingDividesEveryFrequency) {
  model::ModelConfig config = Config(8, 10000);
  const std::vector<double> plain = RopeFrequencies(config);
  config.rope_linear_factor = 4;
  const std::vector<double> scaled = RopeFrequencies(config);
  for (std::size_t k = 0; k < 4; ++k) EXPECT_DOUBLE_EQ(scaled[k], plain[k] / 4);
}

TEST(Rope, Llama3ScalingKeepsShortWavesDividesLongOnesAndBlendsBetween) {
  model::ModelConfig config = Config(128, 500000);
  const std::vector<double> plain = RopeFrequencies(config);
  config.rope_llama3 = model::Llama3RopeScaling{8, 1, 4, 8192};
  const std::vector<double> scaled = RopeFrequencies(config);
  for (std::size_t k = 0; k < plain.size(); ++k) {
    const double wavelength = 2 * std::numbers::pi / plain[k];
    if (wavelength < 8192.0 / 4) {
      EXPECT_DOUBLE_EQ(scaled[k], plain[k]);
    } else if (wavelength > 8192.0) {
      EXPECT_DOUBLE_EQ(scaled[k], plain[k] / 8);
    } else {
      EXPECT_GT(scaled[k], plain[k] / 8);
      EXPECT_LT(scaled[k], plain[k]);
    }
  }
}

TEST(Rope, Llama3BlendIsHalfwayWhereTheWaveFitsTwoAndAHalfTimes) {
  // Frequency 1 has wavelength 2 pi; a context of 2.5 waves is the middle between 1 and 4.
  model::ModelConfig config = Config(2, 10000);
  config.rope_llama3 = model::Llama3RopeScaling{8, 1, 4, 16};
  const double waves = 16 / (2 * std::numbers::pi);
  const double blend = (waves - 1) / 3;
  EXPECT_DOUBLE_EQ(RopeFrequencies(config)[0], (1 - blend) / 8 + blend);
}

TEST(Rope, TableHoldsTheCosineAndSineOfPositionTimesFrequency) {
  const RopeTable table = MakeRopeTable(Config(4, 100), 300);
  for (const std::int64_t p : {0, 1, 299}) {
    for (const std::int64_t k : {0, 1}) {
      const double angle = static_cast<double>(p) * std::pow(0.1, static_cast<double>(k));
      EXPECT_NEAR(table.cosine(p, k), std::cos(angle), 0x1p-24);
      EXPECT_NEAR(table.sine(p, k), std::sin(angle), 0x1p-24);
    }
  }
}

TEST(Rope, TableOfNoPositionsIsEmpty) {
  EXPECT_EQ(MakeRopeTable(Config(4, 100), 0).cosine.rows(), 0);
}

}  // namespace
}  // namespace caldera::llama
