#include "numerics/llama/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace caldera::llama {
namespace {

TEST(MeanOfClusters, IsTheMeanOverTokensWithTheErrorOfTheHandComputedExample) {
  // Mean 11 / 5; residuals 2 - 2 * 2.2 = -2.4 and 9 - 3 * 2.2 = 2.4; sqrt(2 / 1 * 11.52) / 5.
  const std::vector<ClusterSum> clusters = {{2, 2}, {9, 3}};
  const MeanEstimate estimate = MeanOfClusters(clusters);
  EXPECT_DOUBLE_EQ(estimate.mean, 2.2);
  ASSERT_TRUE(estimate.standard_error.has_value());
  EXPECT_NEAR(*estimate.standard_error, 0.96, 1e-15);
}

TEST(MeanOfClusters, WithEqualCountsHasTheErrorOfTheMeanOfTheWindowsMeans) {
  // Means 1, 2, 4, 5: variance 10 / 3, of their mean 10 / 12.
  const std::vector<ClusterSum> clusters = {{10, 10}, {20, 10}, {40, 10}, {50, 10}};
  const MeanEstimate estimate = MeanOfClusters(clusters);
  EXPECT_DOUBLE_EQ(estimate.mean, 3);
  EXPECT_NEAR(estimate.standard_error.value(), std::sqrt(10.0 / 12.0), 1e-15);
}

TEST(MeanOfClusters, DoesNotBecomeSurerWhenEveryTokenIsRepeatedInItsWindow) {
  const std::vector<ClusterSum> once = {{1, 4}, {5, 6}, {2, 5}};
  std::vector<ClusterSum> often = once;
  for (ClusterSum& cluster : often) cluster = {100 * cluster.sum, 100 * cluster.count};
  EXPECT_NEAR(MeanOfClusters(often).standard_error.value(),
              MeanOfClusters(once).standard_error.value(), 1e-15);
}

TEST(MeanOfClusters, HasNoErrorWithFewerThanTwoClustersThatHoldTokens) {
  const std::vector<ClusterSum> one = {{3, 2}};
  const std::vector<ClusterSum> one_and_empty = {{3, 2}, {0, 0}};
  EXPECT_EQ(MeanOfClusters(one).mean, 1.5);
  EXPECT_FALSE(MeanOfClusters(one).standard_error.has_value());
  EXPECT_FALSE(MeanOfClusters(one_and_empty).standard_error.has_value());
}

TEST(MeanOfClusters, TakesNoNoticeOfClustersWithoutTokens) {
  const std::vector<ClusterSum> clusters = {{2, 2}, {0, 0}, {9, 3}, {0, 0}};
  EXPECT_NEAR(MeanOfClusters(clusters).standard_error.value(), 0.96, 1e-15);
}

TEST(Percentile, IsTheSmallestValueThatTheShareDoesNotExceed) {
  const auto percentile_of = [](int count, int percent) {
    std::vector<double> values(static_cast<std::size_t>(count));
    std::iota(values.rbegin(), values.rend(), 1.0);  // count, ..., 2, 1
    return Percentile(values, percent);
  };
  EXPECT_EQ(percentile_of(100, 99), 99);
  EXPECT_EQ(percentile_of(101, 99), 100);
  EXPECT_EQ(percentile_of(200, 99), 198);
  EXPECT_EQ(percentile_of(7, 99), 7);
  EXPECT_EQ(percentile_of(1, 99), 1);
  EXPECT_EQ(percentile_of(4, 50), 2);
  EXPECT_EQ(percentile_of(5, 100), 5);
}

}  // namespace
}  // namespace caldera::llama
