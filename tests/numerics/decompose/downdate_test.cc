#include "numerics/decompose/downdate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "numerics/decompose/hessian_state.h"
#include "numerics/dist/thread_communicator.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

struct OneRank {
  dist::RowPartition partition{64, 64, 1};
  dist::SerialCommunicator serial;
  Context context{partition, serial};
};

TEST(Downdate, LeavesOnlyDeltaOnTheRowsTakenOut) {
  OneRank one;
  linalg::MatrixF h = OutlierHessian(40);
  for (std::int64_t i = 0; i < 40; ++i) h(i, i) += 1;
  const linalg::MatrixF rows = Gaussian(5, 40, 2);
  const auto downdated = Downdate(one.context, h.view(), rows.view(), {.absolute = .25F});
  ASSERT_TRUE(downdated.ok());
  // R (H - B B^T) = 0, so R C C^T = delta R.
  linalg::MatrixF rc(5, 40);
  linalg::MatrixF rcc(5, 40);
  linalg::Gemm(rows, downdated->factor.view(), rc.view());
  linalg::Gemm(rc, linalg::Transposed(downdated->factor.view()), rcc.view());
  double largest = 0;
  for (std::int64_t i = 0; i < 40; ++i) largest = std::max(largest, std::abs(double{h(i, i)}));
  for (std::int64_t k = 0; k < 5; ++k) {
    for (std::int64_t j = 0; j < 40; ++j) {
      EXPECT_NEAR(rcc(k, j), .25 * static_cast<double>(rows(k, j)), largest * 40 * 1e-6);
    }
  }
}

// I but for H(3, 3) = 1000, downdated by that channel.
absl::StatusOr<DowndatedHessian> DowndateStrongChannel(Context& context, Ridge ridge) {
  linalg::MatrixF h = Identity(32);
  h(3, 3) = 1000;
  linalg::MatrixF rows(1, 32);
  rows(0, 3) = 1;
  return Downdate(context, h.view(), rows.view(), ridge);
}

TEST(Downdate, LeavesTheShareThatIsNotRepaired) {
  OneRank one;
  const auto downdated = DowndateStrongChannel(one.context, {.absolute = .5F, .unrepaired = .01F});
  ASSERT_TRUE(downdated.ok());
  EXPECT_NEAR(std::pow(downdated->factor.view()(3, 3), 2), 10.5, 1e-3);
  EXPECT_NEAR(std::pow(downdated->factor.view()(4, 4), 2), 1.5, 1e-5);
}

TEST(Downdate, AcceptsDependentRows) {
  OneRank one;
  linalg::MatrixF rows = Gaussian(4, 24, 2);
  for (std::int64_t j = 0; j < 24; ++j) {
    rows(1, j) = rows(0, j);
    rows(3, j) = 0;
  }
  EXPECT_TRUE(Downdate(one.context, Identity(24).view(), rows.view(), {.absolute = .05F}).ok());
}

TEST(Downdate, MeasuresDeltaByWhatIsLeftOfTheHessian) {
  OneRank one;
  const auto downdated = DowndateStrongChannel(one.context, {.absolute = .5F, .relative = .25F});
  ASSERT_TRUE(downdated.ok());
  EXPECT_NEAR(downdated->delta, .5 + .25 * 31 / 32, 1e-4);
  const auto nothing = Downdate(one.context, linalg::MatrixF(32, 32).view(),
                                Gaussian(1, 32, 2).view(), {.relative = .5F});
  ASSERT_TRUE(nothing.ok());
  EXPECT_FLOAT_EQ(nothing->delta, .5F * 1e-3F);
}

TEST(Downdate, RaisesDeltaAlikeOnRanksThatShareTheFactor) {
  linalg::MatrixF h = Identity(300);
  h(140, 140) = -.03F;
  const linalg::MatrixF rows = Gaussian(5, 300, 2);
  OneRank one;
  const auto alone = Downdate(one.context, h.view(), rows.view(), {.absolute = .01F});
  ASSERT_TRUE(alone.ok());
  EXPECT_GT(alone->delta, .02F);
  dist::RunRanks(3, [&](dist::Communicator& communicator) {
    const dist::RowPartition partition(64, 64, 3);
    Context context{partition, communicator};
    const auto shared = Downdate(context, h.view(), rows.view(), {.absolute = .01F});
    ASSERT_TRUE(shared.ok());
    EXPECT_EQ(shared->delta, alone->delta);
    EXPECT_LT(context.flops, .5 * one.context.flops);
    for (std::int64_t i = 0; i < 300; ++i) {
      const float* const row = alone->factor.view().row(i);
      EXPECT_TRUE(std::equal(row, row + 300, shared->factor.view().row(i))) << i;
    }
  });
}

TEST(Downdate, AcceptsRowsThatDependButForTheirRounding) {
  OneRank one;
  const auto prepared = PrepareHessian(OutlierHessian(130), 3);
  ASSERT_TRUE(prepared.ok());
  const linalg::ConstViewF h = std::as_const(prepared->state().rotated).view();
  const linalg::MatrixF row = Gaussian(1, 130, 2);
  const linalg::MatrixF gains = Gaussian(1, 6, 4);
  for (std::uint64_t seed = 10; seed < 60; ++seed) {
    linalg::MatrixF rows = Gaussian(6, 130, seed);
    for (std::int64_t k = 0; k < 6; ++k) {
      for (std::int64_t j = 0; j < 130; ++j) {
        rows(k, j) = gains(0, k) * row(0, j) * (1 + 2e-4F * rows(k, j));
      }
    }
    EXPECT_TRUE(Downdate(one.context, h, rows.view(), {.absolute = .01F}).ok()) << seed;
  }
}

TEST(TopEigenvectors, FindThoseOfADiagonalMatrix) {
  OneRank one;
  linalg::MatrixF h = Identity(32);
  h(3, 3) = 1e4F;
  h(20, 20) = 3e4F;
  const auto rows = TopEigenvectors(one.context, h.view(), 2, 3);
  ASSERT_TRUE(rows.ok());
  double inside = 0;
  for (std::int64_t k = 0; k < 2; ++k) {
    for (const std::int64_t j : {3, 20}) inside += std::pow(double{(*rows)(k, j)}, 2);
  }
  EXPECT_NEAR(inside, 2, 1e-5);
}

TEST(RidgedCholesky, IsTheFactorOfARegularMatrix) {
  linalg::MatrixD s(2, 2);
  s(0, 0) = 4;
  s(1, 0) = s(0, 1) = 2;
  s(1, 1) = 5;
  const auto factor = RidgedCholesky(s.view());
  ASSERT_TRUE(factor.ok());
  EXPECT_NEAR((*factor)(0, 0), 2, 1e-7);
  EXPECT_NEAR((*factor)(1, 0), 1, 1e-7);
  EXPECT_NEAR((*factor)(1, 1), 2, 1e-7);
  EXPECT_EQ((*factor)(0, 1), 0);
}

TEST(RidgedCholesky, HandlesZeroEmptyAndSingularMatrices) {
  EXPECT_TRUE(RidgedCholesky(linalg::MatrixD(0, 0).view()).ok());
  const auto zero = RidgedCholesky(linalg::MatrixD(3, 3).view());
  ASSERT_TRUE(zero.ok());
  EXPECT_EQ((*zero)(2, 2), 1);
  linalg::MatrixD ones(3, 3);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) ones(i, j) = 1;
  }
  EXPECT_TRUE(RidgedCholesky(ones.view()).ok());
}

}  // namespace
}  // namespace caldera::decompose
