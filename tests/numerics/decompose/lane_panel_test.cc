#include "numerics/decompose/lane_panel.h"

#include <gtest/gtest.h>

#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

TEST(LanePanel, PutsComponentIOfVectorVInLaneIVPlusV) {
  linalg::MatrixF rows(13, 70);
  for (std::int64_t i = 0; i < 13; ++i) {
    for (std::int64_t j = 0; j < 70; ++j) rows(i, j) = static_cast<float>(100 * (i + 1) + j);
  }
  linalg::MatrixF lanes = Gaussian(70, LanesOf(13), 1);
  ASSERT_EQ(lanes.columns(), 16);
  PackLanes(rows.view(), lanes.view());
  for (std::int64_t j = 0; j < 70; ++j) {
    for (std::int64_t v = 0; v < 2; ++v) {
      for (std::int64_t i = 0; i < 8; ++i) {
        const float expected = 8 * v + i < 13 ? rows(8 * v + i, j) : 0;
        EXPECT_EQ(lanes(j, i * 2 + v), expected);
      }
    }
  }
}

TEST(LanePanel, UnpackUndoesPack) {
  for (const std::int64_t count : {0, 1, 8, 63, 128}) {
    for (const std::int64_t columns : {1, 32, 33, 128}) {
      const linalg::MatrixF rows = Gaussian(count, columns, 1);
      linalg::MatrixF lanes(columns, LanesOf(count));
      linalg::MatrixF back(count, columns);
      PackLanes(rows.view(), lanes.view());
      UnpackLanes(std::as_const(lanes).view(), back.view());
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) EXPECT_EQ(back(i, j), rows(i, j));
      }
    }
  }
}

TEST(DescendPanel, AddsTheStepsOfAllLaterColumnsBeforeEachVisit) {
  for (const std::int64_t width : {1, 16, 17, 50}) {
    const linalg::MatrixF coupling = Gaussian(width, width, 2);
    linalg::MatrixF value(width, 16);
    linalg::MatrixF step(width, 16);
    // Each step is 1 plus a tenth of the sum so far; the same recursion in float64.
    std::vector<double> expected(static_cast<std::size_t>(width));
    DescendPanel(coupling.view(), value.view(), step.view(), [&](std::int64_t k) {
      double sum = 0;
      for (std::int64_t j = k + 1; j < width; ++j) {
        sum += double{coupling(j, k)} * (1 + .1 * expected[static_cast<std::size_t>(j)]);
      }
      expected[static_cast<std::size_t>(k)] = sum;
      for (std::int64_t lane = 0; lane < 16; ++lane) {
        EXPECT_NEAR(value(k, lane), sum, 1e-4 * (1 + std::abs(sum)));
        step(k, lane) = 1 + .1F * value(k, lane);
      }
    });
  }
}

}  // namespace
}  // namespace caldera::decompose
