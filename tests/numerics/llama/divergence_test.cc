#include "numerics/llama/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using Logits = std::vector<float>;

// Gives the logits in chunks of `size`.
DistributionPair Pair(const Logits& reference, const Logits& model, std::int32_t target,
                      std::size_t size = 1000) {
  DistributionPair pair(target);
  for (std::size_t first = 0; first < reference.size(); first += size) {
    const std::size_t count = std::min(size, reference.size() - first);
    pair.Add(std::span(reference).subspan(first, count), std::span(model).subspan(first, count),
             static_cast<std::int64_t>(first));
  }
  return pair;
}

std::vector<double> LogSoftmax(const Logits& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double x : logits) sum += std::exp(x - largest);
  std::vector<double> values;
  for (const double x : logits) values.push_back(x - largest - std::log(sum));
  return values;
}

double DirectDivergence(const Logits& reference, const Logits& model) {
  const std::vector<double> log_p = LogSoftmax(reference);
  const std::vector<double> log_q = LogSoftmax(model);
  double sum = 0;
  for (std::size_t i = 0; i < log_p.size(); ++i) sum += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
  return sum;
}

// Logarithms are rounded to float32: 2^-24 of at most log 8, in some terms.
constexpr double kRounding = 4 * 2.1 * 0x1p-24;

TEST(DistributionPair, OfKnownDistributionsHasTheClosedForm) {
  // p = 1/2 1/4 1/8 1/8 has the entropy 7/4 log 2, q is uniform: KL = log 4 - 7/4 log 2, and the
  // other way 9/4 log 2 - log 4.
  const auto log = [](double x) { return static_cast<float>(std::log(x)); };
  const Logits p = {log(0.5), log(0.25), log(0.125), log(0.125)};
  const Logits q = {0, 0, 0, 0};
  const DistributionPair pair = Pair(p, q, 2);
  EXPECT_NEAR(pair.Divergence(), 0.25 * std::log(2), kRounding);
  EXPECT_NEAR(pair.ReferenceLoss(), std::log(8), kRounding);
  EXPECT_NEAR(pair.ModelLoss(), std::log(4), kRounding);
  EXPECT_NEAR(Pair(q, p, 2).Divergence(), 0.25 * std::log(2), kRounding);
}

TEST(DistributionPair, IsNotSymmetric) {
  const auto log = [](double x) { return static_cast<float>(std::log(x)); };
  const Logits p = {log(0.5), log(0.5)};
  const Logits q = {log(0.9), log(0.1)};
  EXPECT_NEAR(Pair(p, q, 0).Divergence(), 0.5 * std::log(25.0 / 9.0), kRounding);
  EXPECT_NEAR(Pair(q, p, 0).Divergence(), 0.9 * std::log(1.8) + 0.1 * std::log(0.2), kRounding);
}

TEST(DistributionPair, OfEqualLogitsIsZeroExactly) {
  const Logits logits = RandomValues(1000, 3.0, 1);
  const DistributionPair pair = Pair(logits, logits, 17, 64);
  EXPECT_EQ(pair.Divergence(), 0);
  EXPECT_EQ(pair.ModelLoss() - pair.ReferenceLoss(), 0);
  EXPECT_TRUE(pair.TopAgrees());
}

TEST(DistributionPair, AgreesWithTheDirectSumForAnyChunks) {
  const Logits reference = RandomValues(1001, 4.0, 1);
  Logits model = reference;
  const Logits noise = RandomValues(1001, 0.01, 2);
  for (std::size_t i = 0; i < model.size(); ++i) model[i] += noise[i] + 0.5F;
  const double expected = DirectDivergence(reference, model);
  ASSERT_GT(expected, 1e-6);
  const std::vector<double> log_p = LogSoftmax(reference);
  for (const std::size_t size : {1U, 7U, 500U, 1001U}) {
    const DistributionPair pair = Pair(reference, model, 1000, size);
    // Terms of up to 20 nats, each exact to some 2^-53, cancel to the result.
    EXPECT_NEAR(pair.Divergence(), expected, 1e-13) << size;
    EXPECT_NEAR(pair.ReferenceLoss(), -log_p[1000], 1e-13) << size;
  }
}

TEST(DistributionPair, DoesNotOverflow) {
  const Logits reference = {-5000, 3000, 2999, 5000};
  const Logits model = {4000, -3000, 5000, 4999};
  for (const std::size_t size : {1U, 4U}) {
    const DistributionPair pair = Pair(reference, model, 0, size);
    EXPECT_NEAR(pair.Divergence(), std::log(1 + std::exp(1)), 1e-9);
    EXPECT_NEAR(pair.ReferenceLoss(), 10000, 1e-9);
  }
}

TEST(DistributionPair, TakesTheLowestOfEquallyLikelyIds) {
  EXPECT_TRUE(Pair({1, 3, 3, 2}, {0, 5, 1, 1}, 0, 1).TopAgrees());
  EXPECT_FALSE(Pair({1, 3, 3, 2}, {0, 1, 5, 1}, 0, 1).TopAgrees());
  EXPECT_FALSE(Pair({1, 3, 3, 2}, {0, 1, 5, 1}, 0, 4).TopAgrees());
}

TEST(DistributionPair, ShowsLogitsThatAreNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {kInfinity, kNan}) {
    for (std::size_t place = 0; place < 3; ++place) {
      Logits spoilt = {1, 2, 3};
      spoilt[place] = bad;
      EXPECT_FALSE(std::isfinite(Pair(spoilt, {1, 2, 3}, 0, 1).Divergence())) << bad << place;
      EXPECT_FALSE(std::isfinite(Pair({1, 2, 3}, spoilt, 0, 3).Divergence())) << bad << place;
    }
  }
}

}  // namespace
}  // namespace caldera::llama
