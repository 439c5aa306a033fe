#include "numerics/decompose/low_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "numerics/decompose/downdate.h"
#include "numerics/decompose/factor_rounding.h"
#include "numerics/dist/thread_communicator.h"
#include "numerics/lattice/factor_code.h"
#include "numerics/linalg/factor.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

struct OneRank {
  explicit OneRank(std::int64_t rows) : partition(rows, 64, 1), context{partition, serial} {}
  dist::SerialCommunicator serial;
  dist::RowPartition partition;
  Context context;
};

struct TestMetric {
  explicit TestMetric(std::int64_t size) : hessian(OutlierHessian(size)), factor(size, size) {
    for (std::int64_t i = 0; i < size; ++i) hessian(i, i) += .1F;
    linalg::Copy(hessian.view(), factor.view());
    EXPECT_TRUE(linalg::CholeskyLower(factor.view()).ok());
    linalg::ZeroStrictUpper(factor.view());
  }
  Metric metric() const { return {hessian.view(), factor.view()}; }
  linalg::MatrixF hessian;
  linalg::MatrixF factor;
};

FitOptions Options(std::int64_t rank, int bits) {
  FitOptions options;
  options.rank = rank;
  options.l_bits = options.r_bits = base::Bits(bits);
  options.subspace_rounds = 8;
  options.alternations = 2;
  return options;
}

double SquaredError(const linalg::MatrixF& a, const LowRank& pair, const linalg::MatrixF& h) {
  linalg::MatrixF d = a;
  linalg::Gemm(pair.l.decoded, pair.r.decoded, d.view(), linalg::kSubtractFrom);
  linalg::MatrixF dh(d.rows(), d.columns());
  linalg::Gemm(d, h, dh.view());
  return linalg::Dot(dh.view(), d.view());
}

// Sum of the squared singular values of A M beyond the first `rank`: what no pair can beat.
double BestSquaredError(const linalg::MatrixF& a, const TestMetric& test, std::int64_t rank) {
  linalg::MatrixF am(a.rows(), a.columns());
  linalg::Gemm(a, test.factor, am.view());
  linalg::MatrixD wide(a.rows(), a.columns());
  linalg::Copy(std::as_const(am).view(), wide.view());
  const auto svd = linalg::Svd(wide.view());
  EXPECT_TRUE(svd.ok());
  double sum = 0;
  for (std::size_t k = static_cast<std::size_t>(rank); k < svd->s.size(); ++k) {
    sum += svd->s[k] * svd->s[k];
  }
  return sum;
}

TEST(FitLowRank, ReachesTheOptimumWithFineFactors) {
  const TestMetric test(60);
  const linalg::MatrixF a = HeavyTailedWeight(100, 60);
  OneRank one(100);
  const auto pair = FitLowRank(one.context, a.view(), test.metric(), Options(10, 16));
  ASSERT_TRUE(pair.ok());
  const double best = BestSquaredError(a, test, 10);
  EXPECT_GE(pair->squared, best * (1 - 1e-3));
  EXPECT_LE(pair->squared, best * 1.02);
  EXPECT_NEAR(pair->squared, SquaredError(a, *pair, test.hessian), 1e-3 * best);
}

TEST(FitLowRank, CoarserFactorsCostMore) {
  const TestMetric test(64);
  const linalg::MatrixF a = HeavyTailedWeight(96, 64);
  OneRank one(96);
  double before = BestSquaredError(a, test, 16) * (1 - 1e-3);
  for (const int bits : {16, 8, 4}) {
    const auto pair = FitLowRank(one.context, a.view(), test.metric(), Options(16, bits));
    ASSERT_TRUE(pair.ok());
    EXPECT_NEAR(pair->squared, SquaredError(a, *pair, test.hessian), 1e-3 * pair->squared);
    EXPECT_GE(pair->squared, before);
    before = pair->squared * (1 - 1e-3);
  }
}

TEST(FitLowRank, WithoutAMetricIsThePlainSingularValueDecomposition) {
  const linalg::MatrixF left = Gaussian(70, 4, 1);
  const linalg::MatrixF right = Gaussian(4, 50, 2);
  linalg::MatrixF a(70, 50);
  linalg::Gemm(left, right, a.view());
  OneRank one(70);
  const auto pair = FitLowRank(one.context, a.view(), {}, Options(4, 16));
  ASSERT_TRUE(pair.ok());
  EXPECT_LT(SquaredError(a, *pair, Identity(50)), std::exp2(-20) * linalg::Dot(a.view(), a.view()));
}

TEST(FitLowRank, AcceptsZerosAndMoreRankThanTheTargetHas) {
  const TestMetric test(40);
  OneRank one(64);
  linalg::MatrixF a(64, 40);
  for (const int bits : {4, 16}) {
    const auto zero = FitLowRank(one.context, a.view(), test.metric(), Options(12, bits));
    ASSERT_TRUE(zero.ok());
    EXPECT_EQ(zero->squared, 0);
  }
  for (std::int64_t i = 0; i < 64; ++i) {
    for (std::int64_t j = 0; j < 40; ++j) a(i, j) = 1;
  }
  const auto pair = FitLowRank(one.context, a.view(), test.metric(), Options(12, 16));
  ASSERT_TRUE(pair.ok());
  EXPECT_LT(SquaredError(a, *pair, Identity(40)), 1e-5 * 64 * 40);
}

TEST(FactorRounding, CodesDecodeToTheValues) {
  const TestMetric test(52);
  OneRank one(72);
  for (const int bits : {4, 8, 16}) {
    const auto pair =
        FitLowRank(one.context, HeavyTailedWeight(72, 52).view(), test.metric(), Options(11, bits));
    ASSERT_TRUE(pair.ok());
    linalg::MatrixF l(72, 11);
    linalg::MatrixF r(11, 52);
    ASSERT_TRUE(
        lattice::DequantiseL(pair->l.codes, base::Bits(bits), pair->l.scales, l.view()).ok());
    ASSERT_TRUE(
        lattice::DequantiseR(pair->r.codes, base::Bits(bits), pair->r.scales, r.view()).ok());
    EXPECT_TRUE(std::equal(l.data(), l.data() + 72 * 11, pair->l.decoded.data()));
    EXPECT_TRUE(std::equal(r.data(), r.data() + 11 * 52, pair->r.decoded.data()));
  }
}

TEST(FactorRounding, FeedbackBeatsPlainRoundingInItsMetric) {
  const TestMetric test(128);
  OneRank one(64);
  const linalg::MatrixF r = Gaussian(32, 128, 4);
  const auto error = [&](const Factor& rounded) {
    const linalg::MatrixF d = Difference(r.view(), rounded.decoded.view());
    linalg::MatrixF dh(32, 128);
    linalg::Gemm(d, test.hessian, dh.view());
    return linalg::Dot(dh.view(), d.view());
  };
  for (const int bits : {4, 8}) {
    const auto plain = RoundRight(one.context, r.view(), {}, {base::Bits(bits)});
    const auto fed_back = RoundRight(one.context, r.view(), test.metric(), {base::Bits(bits)});
    ASSERT_TRUE(plain.ok() && fed_back.ok());
    EXPECT_LT(error(*fed_back), .5 * error(*plain)) << bits;
  }
}

TEST(FitLowRank, GivesTheSameBitsForAnyNumberOfRanks) {
  const TestMetric test(72);
  const linalg::MatrixF a = HeavyTailedWeight(200, 72);
  std::vector<LowRank> results(7);
  for (const int ranks : {1, 2, 4}) {
    dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
      const dist::RowPartition partition(200, 64, ranks);
      Context context{partition, communicator};
      const auto mine = a.view().Rows(context.first_row(), context.local_rows());
      auto pair = FitLowRank(context, mine, test.metric(), Options(40, 4));
      ASSERT_TRUE(pair.ok());
      const int slot = ranks == 1 ? 0 : ranks - 1 + communicator.rank();
      results[static_cast<std::size_t>(slot)] = *std::move(pair);
    });
  }
  for (const LowRank& other : results) {
    EXPECT_EQ(other.r.codes, results[0].r.codes);
    EXPECT_EQ(other.l.scales, results[0].l.scales);
    EXPECT_EQ(other.squared, results[0].squared);
  }
}

}  // namespace
}  // namespace caldera::decompose
