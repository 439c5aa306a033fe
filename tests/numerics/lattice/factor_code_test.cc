#include "numerics/lattice/factor_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "numerics/kernels/parallel.h"

namespace caldera::lattice {
namespace {

constexpr int kAllBits[] = {4, 8, 16};

linalg::MatrixF Gaussian(std::int64_t rows, std::int64_t columns, float scale) {
  std::mt19937 generator(21);
  std::normal_distribution<float> normal(0.0F, scale);
  linalg::MatrixF matrix(rows, columns);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) matrix(i, j) = normal(generator);
  }
  return matrix;
}

double SumOfSquares(const linalg::MatrixF& a, const linalg::MatrixF& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    for (std::int64_t j = 0; j < a.columns(); ++j) sum += std::pow(double{a(i, j)} - b(i, j), 2);
  }
  return sum;
}

double RelativeError(const linalg::MatrixF& original, const linalg::MatrixF& decoded) {
  return SumOfSquares(original, decoded) /
         SumOfSquares(original, linalg::MatrixF(original.rows(), original.columns()));
}

// Squared relative error of Gaussian factors, with room for small samples: the 4-bit figure of the
// lattice; steps of (4.5 rms / 127) for int8; 2^-11 relative rounding of a half.
double ErrorBound(int bits) {
  if (bits == 4) return 0.0095;
  return bits == 8 ? std::pow(5.0 / 127, 2) / 12 : std::pow(2.0, -22);
}

std::vector<float> Values(const linalg::MatrixF& matrix) {
  return {matrix.data(), matrix.data() + matrix.rows() * matrix.columns()};
}

TEST(FactorCode, DecodesWithinTheErrorOfItsGrid) {
  for (const int bits : kAllBits) {
    for (const float scale : {1e-4F, 1.0F, 3e3F}) {
      const linalg::MatrixF l = Gaussian(1003, 13, scale);
      linalg::MatrixF decoded(1003, 13);
      ASSERT_TRUE(EncodeL(l.view(), base::Bits(bits), decoded.view()).ok());
      EXPECT_LT(RelativeError(l, decoded), ErrorBound(bits)) << bits;
      const linalg::MatrixF r = Gaussian(13, 1003, scale);
      linalg::MatrixF decoded_r(13, 1003);
      ASSERT_TRUE(EncodeR(r.view(), base::Bits(bits), decoded_r.view()).ok());
      EXPECT_LT(RelativeError(r, decoded_r), ErrorBound(bits)) << bits;
    }
  }
}

TEST(FactorCode, DequantisesToWhatQuantiseReturned) {
  for (const int bits : kAllBits) {
    for (const auto& [rows, columns] : {std::pair(0, 0), std::pair(1, 1), std::pair(7, 13),
                                        std::pair(16, 8), std::pair(13, 7), std::pair(0, 5)}) {
      const linalg::MatrixF factor = Gaussian(rows, columns, 0.3F);
      linalg::MatrixF decoded(rows, columns);
      linalg::MatrixF again(rows, columns);
      const auto l = EncodeL(factor.view(), base::Bits(bits), decoded.view());
      ASSERT_TRUE(l.ok());
      ASSERT_TRUE(DequantiseL(l->codes, base::Bits(bits), l->scale, again.view()).ok());
      EXPECT_EQ(Values(again), Values(decoded));
      const auto r = EncodeR(factor.view(), base::Bits(bits), decoded.view());
      ASSERT_TRUE(r.ok());
      ASSERT_TRUE(DequantiseR(r->codes, base::Bits(bits), r->scale, again.view()).ok());
      EXPECT_EQ(Values(again), Values(decoded));
    }
  }
}

TEST(FactorCode, CountsCodesWithPadding) {
  EXPECT_EQ(LCodeCount(9, 3, base::Bits(4)), 2 * 8);
  EXPECT_EQ(LCodeCount(9, 3, base::Bits(8)), 16 * 8);
  EXPECT_EQ(RCodeCount(9, 3, base::Bits(4)), 2 * 3);
  EXPECT_EQ(RCodeCount(9, 3, base::Bits(16)), 16 * 3);
  EXPECT_EQ(LCodeCount(0, 3, base::Bits(4)), 0);
}

TEST(FactorCode, GivesZerosForAnAllZeroRankIndex) {
  for (const int bits : kAllBits) {
    linalg::MatrixF r = Gaussian(8, 20, 1.0F);
    for (std::int64_t j = 0; j < 20; ++j) r(3, j) = 0;
    linalg::MatrixF decoded(8, 20);
    const auto codes = EncodeR(r.view(), base::Bits(bits), decoded.view());
    ASSERT_TRUE(codes.ok());
    EXPECT_EQ(codes->scale[3], 0.0F);
    for (std::int64_t j = 0; j < 20; ++j) EXPECT_EQ(decoded(3, j), 0.0F);
    EXPECT_GT(codes->scale[2], 0.0F);
  }
}

TEST(FactorCode, RowsOfADistributedLConcatenate) {
  const linalg::MatrixF l = Gaussian(40, 9, 1.0F);
  for (const int bits : kAllBits) {
    const auto whole = EncodeL(l.view(), base::Bits(bits), {});
    ASSERT_TRUE(whole.ok());
    std::vector<std::uint32_t> parts;
    for (const auto& [first, count] : {std::pair(0, 16), std::pair(16, 24)}) {
      std::vector<std::uint32_t> codes(
          static_cast<std::size_t>(LCodeCount(count, 9, base::Bits(bits))));
      ASSERT_TRUE(
          QuantiseL(l.view().Rows(first, count), base::Bits(bits), whole->scale, codes, {}).ok());
      parts.insert(parts.end(), codes.begin(), codes.end());
    }
    EXPECT_EQ(parts, whole->codes);
  }
}

TEST(FactorCode, IsTheSameForAnyNumberOfThreads) {
  const linalg::MatrixF r = Gaussian(64, 333, 1.0F);
  const int threads = kernels::Threads();
  kernels::SetThreads(1);
  const auto serial = EncodeR(r.view(), base::Bits(4), {});
  kernels::SetThreads(2);
  const auto parallel = EncodeR(r.view(), base::Bits(4), {});
  kernels::SetThreads(threads);
  ASSERT_TRUE(serial.ok() && parallel.ok());
  EXPECT_EQ(serial->codes, parallel->codes);
  EXPECT_EQ(serial->scale, parallel->scale);
}

TEST(FactorCode, KeepsEightBitCodesSymmetric) {
  linalg::MatrixF r(1, 3);
  r(0, 0) = -2;
  r(0, 1) = 2;
  r(0, 2) = 1;
  linalg::MatrixF decoded(1, 3);
  const auto codes = EncodeR(r.view(), base::Bits(8), decoded.view());
  ASSERT_TRUE(codes.ok());
  EXPECT_EQ(codes->codes[0], 0x81U);
  EXPECT_EQ(codes->codes[1], 0x7FU);
  EXPECT_FLOAT_EQ(decoded(0, 0), -2);
  EXPECT_NEAR(decoded(0, 2), 1, 1.0 / 127);
}

TEST(FactorCode, RejectsSizesAndWidthsThatDoNotFit) {
  const linalg::MatrixF l = Gaussian(8, 2, 1.0F);
  std::vector<float> scales(2, 1.0F);
  std::vector<std::uint32_t> codes(8);
  linalg::MatrixF wrong(7, 2);
  EXPECT_TRUE(QuantiseL(l.view(), base::Bits(4), scales, codes, {}).ok());
  EXPECT_FALSE(QuantiseL(l.view(), base::Bits(5), scales, codes, {}).ok());
  EXPECT_FALSE(QuantiseL(l.view(), base::Bits(8), scales, codes, {}).ok());
  EXPECT_FALSE(QuantiseL(l.view(), base::Bits(4), std::span(scales).first(1), codes, {}).ok());
  EXPECT_FALSE(QuantiseL(l.view(), base::Bits(4), scales, codes, wrong.view()).ok());
  EXPECT_FALSE(DequantiseR(codes, base::Bits(4), scales, wrong.view()).ok());
}

}  // namespace
}  // namespace caldera::lattice
