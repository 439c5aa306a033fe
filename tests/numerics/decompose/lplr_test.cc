#include "numerics/decompose/lplr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "numerics/decompose/linear_map.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/factor.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

using ::testing::HasSubstr;

linalg::MatrixD Wide(const linalg::MatrixF& narrow) {
  linalg::MatrixD wide(narrow.rows(), narrow.columns());
  linalg::Copy(narrow.view(), wide.view());
  return wide;
}

// Singular values 1, 1/2, 1/3, ... and as many as `rank`.
linalg::MatrixD Decaying(std::int64_t rows, std::int64_t columns, std::int64_t rank) {
  linalg::MatrixF left = Gaussian(rows, rank, 11);
  linalg::MatrixF right = Gaussian(columns, rank, 12);
  EXPECT_TRUE(linalg::OrthonormalizeColumns(left.view()).ok());
  EXPECT_TRUE(linalg::OrthonormalizeColumns(right.view()).ok());
  for (std::int64_t k = 0; k < rank; ++k) {
    for (std::int64_t i = 0; i < rows; ++i) left(i, k) /= static_cast<float>(k + 1);
  }
  linalg::MatrixF product(rows, columns);
  linalg::Gemm(left, linalg::Transposed(right.view()), product.view());
  return Wide(product);
}

LplrOptions OptionsOf(std::int64_t rank, int factor_bits, int residual_bits = 0) {
  LplrOptions options;
  options.rank = rank;
  options.factor_bits = base::Bits(factor_bits);
  options.residual_bits = base::Bits(residual_bits);
  options.seed = 5;
  return options;
}

struct Outcome {
  LplrResult result;
  double error = 0;  // of the decoded codes
};

Outcome Compress(const linalg::MatrixD& data, const LplrOptions& options) {
  Outcome outcome;
  auto result = Lplr(data.view(), options);
  EXPECT_TRUE(result.ok()) << base::MessageOf(result.status());
  if (!result.ok()) return outcome;
  outcome.result = *std::move(result);
  const auto decoded = DecodeMatrix(outcome.result.matrix);
  EXPECT_TRUE(decoded.ok()) << base::MessageOf(decoded.status());
  outcome.error = RelativeFrobeniusError(data.view(), decoded->view());
  return outcome;
}

std::string ErrorOf(const linalg::MatrixD& data, const LplrOptions& options) {
  const auto result = Lplr(data.view(), options);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return base::MessageOf(result.status());
}

std::string ObjectOf(const LplrResult& result) {
  const auto object = model::EncodeMatrixObject("data", result.matrix);
  EXPECT_TRUE(object.ok()) << base::MessageOf(object.status());
  return {reinterpret_cast<const char*>(object->data()), object->size()};
}

TEST(Lplr, RecoversALowRankMatrixUpToTheGrid) {
  const linalg::MatrixD data = Decaying(120, 96, 10);
  for (const auto& [bits, bound] : {std::pair(4, .08), {8, .006}, {16, 3e-4}}) {
    const Outcome outcome = Compress(data, OptionsOf(10, bits));
    EXPECT_LT(outcome.result.unquantised_error, 1e-5);
    EXPECT_LT(outcome.error, bound) << bits;
    EXPECT_GT(outcome.error, bound / 100) << bits;
  }
}

TEST(Lplr, UsesRankBeyondThatOfTheMatrix) {
  const linalg::MatrixD data = Decaying(120, 96, 4);
  for (const int bits : {4, 8, 16}) {
    EXPECT_LT(Compress(data, OptionsOf(16, bits)).error, Compress(data, OptionsOf(4, bits)).error)
        << bits;
  }
}

TEST(Lplr, TheSketchIsNearlyTheTruncatedSvd) {
  const linalg::MatrixD data = Decaying(200, 120, 120);
  const auto svd = linalg::Svd(data.view());
  ASSERT_TRUE(svd.ok());
  for (const std::int64_t rank : {1, 8, 50}) {
    double rest = 0;
    double total = 0;
    for (std::size_t k = 0; k < svd->s.size(); ++k) {
      total += svd->s[k] * svd->s[k];
      if (k >= static_cast<std::size_t>(rank)) rest += svd->s[k] * svd->s[k];
    }
    const double best = std::sqrt(rest / total);
    const double found = Compress(data, OptionsOf(rank, 16)).result.unquantised_error;
    EXPECT_GE(found, best * (1 - 1e-5)) << rank;
    EXPECT_LE(found, best * 1.005) << rank;
  }
}

TEST(Lplr, ReturnsTheBestOfWhatItMeasured) {
  const linalg::MatrixD data = Decaying(130, 96, 96);
  for (const int residual_bits : {0, 2}) {
    for (const int bits : {4, 8}) {
      const Outcome outcome = Compress(data, OptionsOf(16, bits, residual_bits));
      const auto& curve = outcome.result.error_curve;
      ASSERT_FALSE(curve.empty());
      EXPECT_NEAR(outcome.error, *std::min_element(curve.begin(), curve.end()),
                  1e-4 * outcome.error);
    }
  }
}

TEST(Lplr, AlternationLowersTheError) {
  const auto curve = Compress(Decaying(130, 96, 96), OptionsOf(16, 4)).result.error_curve;
  ASSERT_GT(curve.size(), 1U);
  EXPECT_LT(curve[1], curve[0]);
}

TEST(Lplr, MoreRankBitsAndAResidualLowerTheError) {
  const linalg::MatrixD data = Decaying(130, 96, 96);
  const auto error = [&data](std::int64_t rank, int bits, int residual_bits) {
    return Compress(data, OptionsOf(rank, bits, residual_bits)).error;
  };
  EXPECT_LT(error(16, 4, 0), error(8, 4, 0));
  EXPECT_LT(error(32, 4, 0), error(16, 4, 0));
  EXPECT_LT(error(32, 8, 0), error(32, 4, 0));
  EXPECT_LT(error(96, 16, 0), error(96, 8, 0));
  EXPECT_LT(error(16, 4, 2), .4 * error(16, 4, 0));
  EXPECT_LT(error(16, 4, 3), .6 * error(16, 4, 2));
  EXPECT_LT(error(16, 4, 4), .6 * error(16, 4, 3));
}

TEST(Lplr, IsTheSameForAnyNumberOfThreadsAndForTheSameSeed) {
  const linalg::MatrixD data = Decaying(700, 300, 100);
  for (const int residual_bits : {0, 3}) {
    LplrOptions options = OptionsOf(20, 4, residual_bits);
    const std::string alone = ObjectOf(Compress(data, options).result);
    for (const int threads : {2, 3}) {
      kernels::SetThreads(threads);
      EXPECT_EQ(ObjectOf(Compress(data, options).result), alone) << threads;
      kernels::SetThreads(1);
    }
    options.seed += 1;
    EXPECT_NE(ObjectOf(Compress(data, options).result), alone);
  }
}

TEST(Lplr, AZeroMatrixComesBackAsZeros) {
  for (const int residual_bits : {0, 2}) {
    const Outcome outcome = Compress(linalg::MatrixD(40, 24), OptionsOf(4, 4, residual_bits));
    EXPECT_EQ(outcome.error, 0);
    EXPECT_EQ(outcome.result.unquantised_error, 0);
  }
}

TEST(Lplr, ADominantColumnIsNotCutOff) {
  linalg::MatrixD data = Wide(Gaussian(201, 61, 14));  // odd: no rotation spreads it
  for (std::int64_t i = 0; i < data.rows(); ++i) data(i, 7) *= 300;
  EXPECT_LT(Compress(data, OptionsOf(4, 4)).error, .3);
}

TEST(Lplr, TakesEveryShape) {
  for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                      {1, 8},
                                      {8, 1},
                                      {7, 13},
                                      {65, 3},
                                      {3, 200},
                                      {64, 64}}) {
    const linalg::MatrixD data = Wide(Gaussian(rows, columns, 13));
    for (const std::int64_t rank : {std::int64_t{1}, std::min(rows, columns)}) {
      for (const auto& [bits, residual_bits] : {std::pair(4, 0), {8, 2}, {16, 4}, {4, 3}}) {
        const Outcome outcome = Compress(data, OptionsOf(rank, bits, residual_bits));
        EXPECT_LT(outcome.error, rank == std::min(rows, columns) ? .35 : 1)
            << rows << " x " << columns << ", rank " << rank << ", " << bits << " bits";
        const auto& header = outcome.result.matrix.header;
        EXPECT_EQ(header.rows, rows);
        EXPECT_EQ(header.columns, columns);
        EXPECT_EQ(header.q_bits.value(), residual_bits);
      }
    }
  }
}

TEST(Lplr, APowerOfTwoInTheDataIsOneInTheScales) {
  linalg::MatrixD data = Decaying(64, 48, 48);
  const Outcome before = Compress(data, OptionsOf(8, 4, 2));
  for (std::int64_t i = 0; i < data.rows() * data.columns(); ++i) data.data()[i] *= 0x1p-60;
  const Outcome after = Compress(data, OptionsOf(8, 4, 2));
  EXPECT_EQ(after.result.matrix.l_codes, before.result.matrix.l_codes);
  EXPECT_EQ(after.result.matrix.q_codes, before.result.matrix.q_codes);
  EXPECT_EQ(after.error, before.error);
}

TEST(Lplr, RefusesOptionsOutOfRange) {
  const linalg::MatrixD data = Decaying(7, 13, 7);
  EXPECT_THAT(ErrorOf(data, OptionsOf(8, 4)),
              HasSubstr("rank 8 of a 7 x 13 matrix: expected 1 to 7"));
  EXPECT_THAT(ErrorOf(data, OptionsOf(0, 4)), HasSubstr("rank 0"));
  EXPECT_THAT(ErrorOf(data, OptionsOf(2, 5)), HasSubstr("5 bits"));
  EXPECT_THAT(ErrorOf(data, OptionsOf(2, 4, 1)), HasSubstr("residual of 1 bits"));
  EXPECT_THAT(ErrorOf(data, OptionsOf(2, 4, 5)), HasSubstr("residual of 5 bits"));
  EXPECT_THAT(ErrorOf(linalg::MatrixD(0, 3), OptionsOf(1, 4)), HasSubstr("0 x 3"));
}

TEST(Lplr, NamesAValueThatFloat32CannotHold) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity(), 1e39}) {
    linalg::MatrixD data = Decaying(7, 13, 7);
    data(3, 5) = value;
    EXPECT_THAT(ErrorOf(data, OptionsOf(2, 4)), HasSubstr("row 3, column 5"));
  }
}

TEST(RelativeFrobeniusError, IsThatOfItsDefinition) {
  linalg::MatrixD x(1, 2);
  linalg::MatrixF a(1, 2);
  EXPECT_EQ(RelativeFrobeniusError(x.view(), a.view()), 0);
  a(0, 0) = 1;
  EXPECT_EQ(RelativeFrobeniusError(x.view(), a.view()), std::numeric_limits<double>::infinity());
  x(0, 0) = 3;
  x(0, 1) = 4;
  a(0, 1) = 4;
  EXPECT_DOUBLE_EQ(RelativeFrobeniusError(x.view(), a.view()), .4);
}

TEST(Lplr, DataTooSmallForFloat32IsReportedAsLost) {
  linalg::MatrixD data(8, 8);
  for (std::int64_t i = 0; i < 64; ++i) data.data()[i] = 1e-300;
  EXPECT_DOUBLE_EQ(Compress(data, OptionsOf(1, 4)).error, 1);
}

}  // namespace
}  // namespace caldera::decompose
