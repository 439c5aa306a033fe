#include "numerics/decompose/factor_rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "numerics/kernels/parallel.h"
#include "numerics/lattice/factor_code.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

struct OneRank {
  dist::SerialCommunicator serial;
  dist::RowPartition partition{64, 64, 1};
  Context context{partition, serial};
};

// A Gram matrix whose spectrum falls over three decades, in a random basis.
linalg::MatrixD SteepGram(std::int64_t rank) {
  linalg::MatrixF l = Gaussian(2 * rank, rank, 21);
  for (std::int64_t k = 0; k < rank; ++k) {
    const double decades = 1.5 * static_cast<double>(k) / static_cast<double>(rank);
    for (std::int64_t i = 0; i < l.rows(); ++i) {
      l(i, k) *= static_cast<float>(std::pow(10.0, -decades));
    }
  }
  const linalg::MatrixF basis = Gaussian(rank, rank, 22);
  linalg::MatrixF mixed(l.rows(), rank);
  linalg::Gemm(l, basis, mixed.view());
  const linalg::MatrixD wide = Widen(mixed.view());
  linalg::MatrixD gram(rank, rank);
  linalg::Gemm(linalg::Transposed(wide.view()), wide, gram.view());
  return gram;
}

// tr(E^T G E) with E = decoded - r.
double Seen(const linalg::MatrixF& r, const Factor& rounded, const linalg::MatrixD& gram) {
  const linalg::MatrixD error = Widen(Difference(rounded.decoded.view(), r.view()).view());
  linalg::MatrixD product(r.rows(), r.columns());
  linalg::Gemm(gram, error, product.view());
  return linalg::Dot(std::as_const(product).view(), error.view());
}

TEST(RoundRightAgainstLeft, IsPlainRoundingBesideOrthonormalColumns) {
  OneRank one;
  linalg::MatrixD identity(13, 13);
  for (std::int64_t i = 0; i < 13; ++i) identity(i, i) = 1;
  const linalg::MatrixF r = Gaussian(13, 300, 23);
  for (const int bits : {4, 8, 16}) {
    const auto plain = RoundRight(one.context, r.view(), {}, {base::Bits(bits)});
    const auto fed_back =
        RoundRightAgainstLeft(one.context, r.view(), identity.view(), base::Bits(bits));
    ASSERT_TRUE(plain.ok() && fed_back.ok());
    EXPECT_EQ(fed_back->codes, plain->codes) << bits;
    EXPECT_EQ(fed_back->scales, plain->scales) << bits;
  }
}

TEST(RoundRightAgainstLeft, LeavesLessInTheMetricOfL) {
  OneRank one;
  const linalg::MatrixD gram = SteepGram(40);
  const linalg::MatrixF r = Gaussian(40, 300, 24);
  for (const int bits : {4, 8}) {
    const auto plain = RoundRight(one.context, r.view(), {}, {base::Bits(bits)});
    const auto fed_back =
        RoundRightAgainstLeft(one.context, r.view(), gram.view(), base::Bits(bits));
    ASSERT_TRUE(plain.ok() && fed_back.ok());
    EXPECT_LT(Seen(r, *fed_back, gram), .5 * Seen(r, *plain, gram)) << bits;
  }
}

TEST(RoundRightAgainstLeft, DecodedValuesAreThoseOfTheCodes) {
  OneRank one;
  linalg::MatrixF r = Gaussian(21, 270, 25);
  for (std::int64_t j = 0; j < r.columns(); ++j) r(9, j) = 0;
  for (const int bits : {4, 8, 16}) {
    const auto rounded =
        RoundRightAgainstLeft(one.context, r.view(), SteepGram(21).view(), base::Bits(bits));
    ASSERT_TRUE(rounded.ok());
    linalg::MatrixF decoded(21, 270);
    ASSERT_TRUE(
        lattice::DequantiseR(rounded->codes, base::Bits(bits), rounded->scales, decoded.view())
            .ok());
    for (std::int64_t i = 0; i < r.rows(); ++i) {
      for (std::int64_t j = 0; j < r.columns(); ++j) {
        ASSERT_EQ(rounded->decoded(i, j), decoded(i, j)) << bits << " " << i << " " << j;
      }
    }
  }
}

TEST(RoundRightAgainstLeft, DoesNotDependOnThreads) {
  OneRank one;
  const linalg::MatrixF r = Gaussian(24, 1000, 26);
  const linalg::MatrixD gram = SteepGram(24);
  const auto alone = RoundRightAgainstLeft(one.context, r.view(), gram.view(), base::Bits(4));
  kernels::SetThreads(3);
  const auto three = RoundRightAgainstLeft(one.context, r.view(), gram.view(), base::Bits(4));
  kernels::SetThreads(1);
  ASSERT_TRUE(alone.ok() && three.ok());
  EXPECT_EQ(alone->codes, three->codes);
}

}  // namespace
}  // namespace caldera::decompose
