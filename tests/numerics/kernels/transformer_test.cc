#include "numerics/kernels/transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "numerics/kernels/reference.h"

namespace caldera::kernels {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Rounding of a handful of float operations on values of size 1.
constexpr float kRounding = 8 * 1.2e-7F;

std::vector<float> Values(std::size_t count, float frequency) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::sin(frequency * static_cast<float>(i + 1));
  }
  return values;
}

class TransformerSizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(TransformerSizes, RmsNormAgreesWithTheReference) {
  const std::vector<float> x = Values(GetParam(), 0.7F);
  const std::vector<float> weight = Values(GetParam(), 1.3F);
  std::vector<float> fast(x.size());
  std::vector<float> slow(x.size());
  RmsNorm(x.data(), weight.data(), x.size(), 1e-5F, fast.data());
  reference::RmsNorm(x.data(), weight.data(), x.size(), 1e-5F, slow.data());
  EXPECT_THAT(fast, Pointwise(FloatNear(4 * kRounding), slow));
}

TEST_P(TransformerSizes, RotateHalfAgreesWithTheReference) {
  const std::size_t half = GetParam();
  std::vector<float> fast = Values(2 * half, 0.9F);
  std::vector<float> slow = fast;
  const std::vector<float> cosine = Values(half, 0.2F);
  const std::vector<float> sine = Values(half, 0.3F);
  RotateHalf(fast.data(), cosine.data(), sine.data(), half);
  reference::RotateHalf(slow.data(), cosine.data(), sine.data(), half);
  EXPECT_THAT(fast, Pointwise(FloatNear(kRounding), slow));
}

TEST_P(TransformerSizes, SiluTimesAgreesWithTheReference) {
  std::vector<float> gate = Values(GetParam(), 0.5F);
  for (float& z : gate) z *= 6;
  const std::vector<float> up = Values(GetParam(), 1.1F);
  std::vector<float> fast(gate.size());
  std::vector<float> slow(gate.size());
  SiluTimes(gate.data(), up.data(), gate.size(), fast.data());
  reference::SiluTimes(gate.data(), up.data(), gate.size(), slow.data());
  EXPECT_THAT(fast, Pointwise(FloatNear(6 * kRounding), slow));
}

TEST_P(TransformerSizes, SoftmaxAgreesWithTheReferenceAndSumsToOne) {
  std::vector<float> fast = Values(GetParam(), 0.5F);
  for (float& z : fast) z = 20 * z + 1000;
  std::vector<float> slow = fast;
  Softmax(fast.data(), fast.size());
  reference::Softmax(slow.data(), slow.size());
  EXPECT_THAT(fast, Pointwise(FloatNear(kRounding), slow));
}

TEST_P(TransformerSizes, LogSumExpAgreesWithTheReference) {
  std::vector<float> x = Values(GetParam(), 0.5F);
  for (float& z : x) z *= 50;
  const double slow = reference::LogSumExp(x.data(), x.size());
  const double fast = LogSumExp(x.data(), x.size());
  if (x.empty()) {
    EXPECT_EQ(fast, slow);
  } else {
    EXPECT_NEAR(fast, slow, 5e-7);
  }
}

TEST_P(TransformerSizes, DotsAgreeWithTheReference) {
  const std::vector<float> x = Values(GetParam(), 0.7F);
  const std::vector<float> y = Values(GetParam(), 0.71F);
  const double exact = reference::DotDouble(x.data(), y.data(), x.size());
  // |error| <= count * epsilon * sum |x y|, far from reached.
  const auto count = static_cast<double>(x.size());
  EXPECT_NEAR(Dot(x.data(), y.data(), x.size()), exact, 6e-8 * count * std::sqrt(count) + 1e-12);
  EXPECT_NEAR(DotDouble(x.data(), y.data(), x.size()), exact, 1.2e-16 * count * count + 1e-30);
}

TEST_P(TransformerSizes, AxpyMaxAbsAndIsFiniteAgreeWithTheReference) {
  const std::vector<float> x = Values(GetParam(), 0.7F);
  std::vector<float> fast = Values(GetParam(), 0.3F);
  std::vector<float> slow = fast;
  Axpy(0.7F, x.data(), x.size(), fast.data());
  reference::Axpy(0.7F, x.data(), x.size(), slow.data());
  EXPECT_THAT(fast, Pointwise(FloatNear(kRounding), slow));
  EXPECT_EQ(MaxAbs(x.data(), x.size()), reference::MaxAbs(x.data(), x.size()));
  EXPECT_TRUE(IsFinite(x.data(), x.size()));
}

TEST_P(TransformerSizes, IsFiniteFindsABadValueAnywhere) {
  for (std::size_t i = 0; i < GetParam(); ++i) {
    std::vector<float> x = Values(GetParam(), 0.7F);
    x[i] = i % 2 == 0 ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(IsFinite(x.data(), x.size())) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, TransformerSizes,
                         ::testing::Values(0, 1, 2, 7, 15, 16, 17, 64, 100, 576, 1537, 2500));

TEST(Transformer, RmsNormOfAConstantIsItsWeight) {
  const std::vector<float> x(33, -3.0F);
  const std::vector<float> weight(33, 0.5F);
  std::vector<float> out(33);
  RmsNorm(x.data(), weight.data(), 33, 0.0F, out.data());
  EXPECT_THAT(out, ::testing::Each(FloatNear(-0.5F, kRounding)));
}

TEST(Transformer, SoftmaxGivesZeroToMaskedEntries) {
  std::vector<float> x = {1.0F, -kInfinity, 1.0F, -kInfinity, -200.0F};
  Softmax(x.data(), x.size());
  EXPECT_THAT(x, ::testing::ElementsAre(0.5F, 0.0F, 0.5F, 0.0F, 0.0F));
}

TEST(Transformer, SiluHasItsLimitsForLargeArguments) {
  const std::vector<float> gate = {100.0F, -100.0F, 1e30F, -1e30F, 0.0F};
  const std::vector<float> up(5, 2.0F);
  std::vector<float> out(5);
  SiluTimes(gate.data(), up.data(), 5, out.data());
  EXPECT_FLOAT_EQ(out[0], 200.0F);
  EXPECT_NEAR(out[1], 0.0F, 1e-30F);
  EXPECT_FLOAT_EQ(out[2], 2e30F);
  EXPECT_EQ(std::fabs(out[3]), 0.0F);
  EXPECT_EQ(out[4], 0.0F);
}

TEST(Transformer, ExponentialsAreAccurateOverTheWholeRangeOfSoftmax) {
  std::vector<float> x(1000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = -0.08F * static_cast<float>(i);
  std::vector<float> out = x;
  Softmax(out.data(), out.size());
  const double log_sum = reference::LogSumExp(x.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]) - log_sum);
    EXPECT_NEAR(out[i] / exact, 1.0, 1e-6) << x[i];
  }
}

}  // namespace
}  // namespace caldera::kernels
