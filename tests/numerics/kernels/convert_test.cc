#include "numerics/kernels/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "numerics/kernels/reference.h"

namespace caldera::kernels {
namespace {

std::vector<std::uint16_t> AllHalves() {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  return halves;
}

// Every exponent and sign, with mantissas around each rounding boundary of both 16-bit formats.
std::vector<float> RoundingCases() {
  std::vector<float> values;
  for (std::uint32_t upper = 0; upper < 65536; upper += 7) {
    for (const std::uint32_t lower :
         {0x0000U, 0x0FFFU, 0x1000U, 0x1001U, 0x3000U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      values.push_back(std::bit_cast<float>((upper << 16) | lower));
    }
  }
  return values;
}

bool SameFloat(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST(Convert, EveryFloat16WidensLikeTheReference) {
  const std::vector<std::uint16_t> halves = AllHalves();
  std::vector<float> fast(halves.size());
  std::vector<float> slow(halves.size());
  Float16ToFloat(halves.data(), halves.size(), fast.data());
  reference::Float16ToFloat(halves.data(), halves.size(), slow.data());
  for (std::size_t i = 0; i < halves.size(); ++i) ASSERT_TRUE(SameFloat(fast[i], slow[i])) << i;
}

TEST(Convert, EveryFloat16SurvivesTheRoundTrip) {
  const std::vector<std::uint16_t> halves = AllHalves();
  std::vector<float> floats(halves.size());
  std::vector<std::uint16_t> back(halves.size());
  Float16ToFloat(halves.data(), halves.size(), floats.data());
  FloatToFloat16(floats.data(), floats.size(), back.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (std::isnan(floats[i])) continue;
    ASSERT_EQ(back[i], halves[i]) << i;
  }
}

TEST(Convert, EveryBFloat16SurvivesTheRoundTrip) {
  const std::vector<std::uint16_t> halves = AllHalves();
  std::vector<float> floats(halves.size());
  std::vector<std::uint16_t> back(halves.size());
  BFloat16ToFloat(halves.data(), halves.size(), floats.data());
  FloatToBFloat16(floats.data(), floats.size(), back.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (std::isnan(floats[i])) continue;
    ASSERT_EQ(back[i], halves[i]) << i;
  }
}

TEST(Convert, RoundsLikeTheReferenceAtEveryBoundary) {
  const std::vector<float> values = RoundingCases();
  std::vector<std::uint16_t> fast(values.size());
  std::vector<std::uint16_t> slow(values.size());
  FloatToFloat16(values.data(), values.size(), fast.data());
  reference::FloatToFloat16(values.data(), values.size(), slow.data());
  EXPECT_EQ(fast, slow);
  FloatToBFloat16(values.data(), values.size(), fast.data());
  reference::FloatToBFloat16(values.data(), values.size(), slow.data());
  EXPECT_EQ(fast, slow);
}

TEST(Convert, RoundsTiesToEvenAndOverflowsToInfinity) {
  const std::vector<float> values = {
      1.0F + 0x1p-11F, 1.0F + 3 * 0x1p-11F, 65519.0F, 65520.0F, -1e9F, 0x1p-25F, 0x1p-24F};
  std::vector<std::uint16_t> halves(values.size());
  FloatToFloat16(values.data(), values.size(), halves.data());
  EXPECT_EQ(halves, (std::vector<std::uint16_t>{0x3C00, 0x3C02, 0x7BFF, 0x7C00, 0xFC00, 0, 1}));
}

TEST(Convert, KeepsNanInBothFormats) {
  const float nan = std::bit_cast<float>(0x7F800001U);
  std::uint16_t half = 0;
  float back = 0;
  FloatToFloat16(&nan, 1, &half);
  Float16ToFloat(&half, 1, &back);
  EXPECT_TRUE(std::isnan(back));
  FloatToBFloat16(&nan, 1, &half);
  BFloat16ToFloat(&half, 1, &back);
  EXPECT_TRUE(std::isnan(back));
}

TEST(Convert, WritesExactlyCountValues) {
  for (std::size_t count = 0; count < 40; ++count) {
    const std::vector<float> values(40, 1.5F);
    std::vector<std::uint16_t> halves(40, 0xAAAA);
    FloatToFloat16(values.data(), count, halves.data());
    std::vector<float> back(40, -7.0F);
    Float16ToFloat(halves.data(), count, back.data());
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(halves[i], i < count ? 0x3E00 : 0xAAAA);
      EXPECT_EQ(back[i], i < count ? 1.5F : -7.0F);
    }
  }
}

}  // namespace
}  // namespace caldera::kernels
