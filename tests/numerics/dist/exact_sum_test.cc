#include "numerics/dist/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numerics/dist/thread_communicator.h"
#include "numerics/linalg/random.h"

namespace caldera::dist {
namespace {

// Addends of very different sizes, so that a plain sum would depend on the order.
std::vector<float> Addends(std::size_t count, std::uint64_t stream) {
  const linalg::Random random(7, stream);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(random.Normal(i) * std::exp2(20.0 * random.Uniform(i) - 20));
  }
  return values;
}

constexpr double kBound = 8;  // a normal value beyond 8 does not occur in these tests

TEST(ExactSum, DoesNotDependOnTheOrder) {
  std::vector<float> values = Addends(1001, 0);
  const ExactGrid grid(kBound, 1001);
  std::vector<double> sums;
  for (int order = 0; order < 5; ++order) {
    double sum = 0;
    for (const float& value : values) AddExactly(grid, std::span(&value, 1), std::span(&sum, 1));
    sums.push_back(sum);
    std::rotate(values.begin(), values.begin() + 137, values.end());
    std::reverse(values.begin(), values.begin() + 500);
  }
  EXPECT_EQ(sums, std::vector<double>(5, sums[0]));
}

TEST(ExactSum, StaysWithinItsErrorBound) {
  for (const std::size_t count : {1U, 2U, 3U, 1000U}) {
    const std::vector<float> values = Addends(count, 1);
    const ExactGrid grid(kBound, static_cast<std::int64_t>(count));
    double sum = 0;
    long double exact = 0;
    for (const float& value : values) {
      AddExactly(grid, std::span(&value, 1), std::span(&sum, 1));
      exact += static_cast<long double>(value);
    }
    const auto n = static_cast<double>(count);
    EXPECT_LE(std::fabs(sum - static_cast<double>(exact)), n * grid.spacing() / 2 + 1e-18);
    EXPECT_LE(grid.spacing(), 2 * n * kBound * 0x1p-51);
  }
}

TEST(ExactSum, IsExactAtTheBound) {
  for (const double bound : {1.0, 1.5, 3.0, 0x1p-140, 0x1p120}) {
    const ExactGrid grid(bound, 3);
    ExactSum sum(1, grid);
    const std::vector<double> addend = {bound};
    const std::vector<double> negative = {-bound};
    for (int i = 0; i < 3; ++i) sum.Add(addend);
    EXPECT_EQ(sum.sums()[0], 3 * bound);
    for (int i = 0; i < 3; ++i) sum.Add(negative);
    EXPECT_EQ(sum.sums()[0], 0.0);
  }
}

TEST(ExactSum, OfZerosWithBoundZeroIsZero) {
  ExactSum sum(2, ExactGrid(0, 1));
  sum.Add(std::vector<float>{0.0F, 0.0F});
  EXPECT_EQ(sum.sums()[0], 0.0);
  EXPECT_EQ(sum.sums()[1], 0.0);
}

TEST(ExactSum, IsTheSameForAnySplitOverRanks) {
  constexpr std::size_t kElements = 17;
  constexpr int kAddends = 24;
  const ExactGrid grid(kBound, kAddends);
  std::vector<std::vector<double>> results;
  for (const int ranks : {1, 2, 4}) {
    RunRanks(ranks, [&](Communicator& communicator) {
      ExactSum even(kElements, grid);
      ExactSum odd(kElements, grid);
      for (int k = communicator.rank(); k < kAddends; k += ranks) {
        (k % 3 == 0 ? even : odd).Add(Addends(kElements, static_cast<std::uint64_t>(k)));
      }
      even.Merge(odd);
      even.AllReduce(communicator);
      if (communicator.rank() == ranks - 1) {
        results.emplace_back(even.sums().begin(), even.sums().end());
      }
    });
  }
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2], results[0]);
}

}  // namespace
}  // namespace caldera::dist
