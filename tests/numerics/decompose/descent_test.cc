#include "numerics/decompose/descent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

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
        sum += double{coupling(k, j)} * (1 + .1 * expected[static_cast<std::size_t>(j)]);
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
