#include "numerics/linalg/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace caldera::linalg {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers published with the generator.
TEST(Philox, GivesThePublishedValues) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U}));
  EXPECT_EQ(
      Philox({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, {0xffffffffU, 0xffffffffU}),
      (Words{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU}));
  EXPECT_EQ(
      Philox({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U}),
      (Words{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U}));
}

TEST(Random, HasTheMomentsOfItsDistributions) {
  constexpr int kCount = 100000;
  const Random random(42);
  double uniform = 0;
  double normal = 0;
  double square = 0;
  double fourth = 0;
  double sign = 0;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double u = random.Uniform(i);
    EXPECT_TRUE(u >= 0 && u < 1);
    const double z = random.Normal(i);
    uniform += u / kCount;
    normal += z / kCount;
    square += z * z / kCount;
    fourth += z * z * z * z / kCount;
    sign += static_cast<double>(random.Sign(i)) / kCount;
  }
  // Five standard deviations of each mean.
  const double unit = 5 / std::sqrt(static_cast<double>(kCount));
  EXPECT_NEAR(uniform, 0.5, unit * std::sqrt(1.0 / 12));
  EXPECT_NEAR(normal, 0, unit);
  EXPECT_NEAR(square, 1, unit * std::sqrt(2.0));
  EXPECT_NEAR(fourth, 3, unit * std::sqrt(96.0));
  EXPECT_NEAR(sign, 0, unit);
}

TEST(Random, DependsOnSeedStreamAndIndex) {
  const std::uint64_t base = Random(1, 2).Bits(3);
  EXPECT_EQ(Random(1, 2).Bits(3), base);
  EXPECT_NE(Random(2, 2).Bits(3), base);
  EXPECT_NE(Random(1, 3).Bits(3), base);
  EXPECT_NE(Random(1, 2).Bits(4), base);
  EXPECT_NE(Random(1, 2).Bits(3 + (std::uint64_t{1} << 32)), base);
}

TEST(Random, FillsPartsOfOneSequence) {
  const Random random(5);
  std::vector<float> all(20);
  random.FillNormal(all);
  std::vector<float> part(7);
  random.FillNormal(part, 11);
  EXPECT_EQ(part, std::vector<float>(all.begin() + 11, all.begin() + 18));
  MatrixF rows(2, 4);
  random.FillNormal(rows.view(), 3);
  EXPECT_EQ(std::vector<float>(rows.data(), rows.data() + 8),
            std::vector<float>(all.begin() + 12, all.end()));
  std::vector<float> signs(9);
  random.FillSigns(signs, 4);
  EXPECT_EQ(signs[3], random.Sign(7));
}

}  // namespace
}  // namespace caldera::linalg
