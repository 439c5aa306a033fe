#include "numerics/decompose/hessian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/base/status.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

HessianSum SumOf(const linalg::MatrixF& x, std::int64_t window, int rank, int ranks) {
  HessianAccumulator accumulator(x.columns(), rank, ranks);
  for (std::int64_t first = 0; first < x.rows(); first += window) {
    accumulator.Add(x.view().Rows(first, std::min(window, x.rows() - first)));
  }
  return std::move(accumulator).Take();
}

TEST(HessianAccumulator, SumsOuterProducts) {
  for (const std::int64_t n : {1, 7, 300}) {
    const linalg::MatrixF x = Gaussian(50, n, 1);
    const HessianSum sum = SumOf(x, 16, 0, 1);
    EXPECT_EQ(sum.tokens, 50);
    ASSERT_EQ(sum.packed_lower.size(), static_cast<std::size_t>(n * (n + 1) / 2));
    std::size_t index = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j <= i; ++j, ++index) {
        double expected = 0;
        for (std::int64_t t = 0; t < 50; ++t) expected += double{x(t, i)} * double{x(t, j)};
        ASSERT_NEAR(sum.packed_lower[index], expected, 50 * 50 * 1e-7) << i << ", " << j;
      }
    }
  }
}

TEST(HessianAccumulator, RanksOwnDisjointTilesWithTheSameBits) {
  const linalg::MatrixF x = Gaussian(40, 600, 2);
  const HessianSum whole = SumOf(x, 8, 0, 1);
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    std::vector<float> together(whole.packed_lower.size());
    for (int rank = 0; rank < 3; ++rank) {
      const HessianSum part = SumOf(x, 8, rank, 3);
      for (std::size_t i = 0; i < together.size(); ++i) together[i] += part.packed_lower[i];
    }
    EXPECT_EQ(together, whole.packed_lower);
  }
  kernels::SetThreads(1);
}

TEST(MeanHessian, DividesTheSumOfPartialsByAllTokens) {
  const HessianSum a{2, 3, {1, 2, 3}};
  const HessianSum b{2, 1, {3, 2, 5}};
  const auto mean = MeanHessian(std::vector<HessianSum>{a, b});
  ASSERT_TRUE(mean.ok());
  EXPECT_EQ((*mean)(0, 0), 1);
  EXPECT_EQ((*mean)(1, 0), 1);
  EXPECT_EQ((*mean)(0, 1), 1);
  EXPECT_EQ((*mean)(1, 1), 2);
}

TEST(MeanHessian, RejectsNothingDifferentSizesAndNoTokens) {
  const HessianSum a{2, 3, {1, 2, 3}};
  const HessianSum other{1, 3, {1}};
  const HessianSum short_one{2, 3, {1, 2}};
  const HessianSum no_tokens{2, 0, {0, 0, 0}};
  const auto code = [](const std::vector<HessianSum>& partials) {
    return MeanHessian(partials).status().code();
  };
  EXPECT_EQ(code({}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({a, other}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({short_one}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({no_tokens}), absl::StatusCode::kInvalidArgument);
}

TEST(PrepareHessian, FactorsTheRotatedDampedMatrix) {
  const std::int64_t n = 96;
  const linalg::MatrixF given = OutlierHessian(n);
  const auto prepared = PrepareHessian(given, 5);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->size(), n);
  const PreparedHessian::State& state = prepared->state();
  EXPECT_EQ(state.damping, .01);
  double trace = 0;
  for (std::int64_t i = 0; i < n; ++i) trace += state.rotated(i, i);
  EXPECT_NEAR(trace, static_cast<double>(n) * 1.01, static_cast<double>(n) * 1e-5);
  linalg::MatrixF product(n, n);
  linalg::Gemm(state.factor, linalg::Transposed(state.factor.view()), product.view());
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      EXPECT_EQ(state.given(i, j), given(i, j));
      EXPECT_EQ(state.rotated(i, j), state.rotated(j, i));
      EXPECT_NEAR(product(i, j), state.rotated(i, j), trace * 1e-6);
    }
  }
}

TEST(PrepareHessian, AcceptsZeroAndSingularMatrices) {
  EXPECT_TRUE(PrepareHessian(linalg::MatrixF(24, 24), 1).ok());
  linalg::MatrixF ones(24, 24);
  for (std::int64_t i = 0; i < 24; ++i) {
    for (std::int64_t j = 0; j < 24; ++j) ones(i, j) = 1;
  }
  EXPECT_TRUE(PrepareHessian(ones, 1).ok());
}

TEST(PrepareHessian, ClimbsTheDampingLadder) {
  // Eigenvalues 1 + 0.01 n / 2 and, once, -0.03 of the mean diagonal: 0.05 is the first that helps.
  linalg::MatrixF h = Identity(32);
  h(4, 4) = -.03F;
  const auto prepared = PrepareHessian(h, 1);
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->state().damping, .05);
}

TEST(PrepareHessian, RejectsWhatIsNotAHessian) {
  linalg::MatrixF nan = Identity(8);
  nan(3, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(base::MessageOf(PrepareHessian(nan, 1).status()),
            "hessian: row 3, column 2 is not finite");
  linalg::MatrixF skew = Identity(8);
  skew(2, 5) = .5F;
  EXPECT_EQ(PrepareHessian(skew, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PrepareHessian(linalg::MatrixF(3, 4), 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PrepareHessian(linalg::MatrixF(0, 0), 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  linalg::MatrixF indefinite = Identity(8);
  indefinite(1, 1) = -1;
  EXPECT_EQ(PrepareHessian(indefinite, 1).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace caldera::decompose
