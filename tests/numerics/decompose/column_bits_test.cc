#include "numerics/decompose/column_bits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "common/base/check.h"
#include "common/base/status.h"
#include "numerics/decompose/linear_map.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

lattice::CodebookFamily Family(model::CodebookKind kind) {
  auto family = lattice::CodebookFamily::Find(kind);
  CALDERA_CHECK(family.ok(), "test case");
  return *family;
}

linalg::MatrixF Diagonal(const std::vector<float>& values) {
  const auto n = static_cast<std::int64_t>(values.size());
  linalg::MatrixF matrix(n, n);
  for (std::int64_t i = 0; i < n; ++i) matrix(i, i) = values[static_cast<std::size_t>(i)];
  return matrix;
}

double ErrorOf(const linalg::MatrixF& factor, const lattice::CodebookFamily& family,
               const std::vector<std::uint8_t>& bits) {
  double error = 0;
  for (std::int64_t j = 0; j < factor.columns(); ++j) {
    error += std::pow(static_cast<double>(factor(j, j)), 2) *
             family.Of(bits[static_cast<std::size_t>(j)]).gaussian_error();
  }
  return error;
}

// The least error of all choices with 2 n + extra bits.
double LeastError(const linalg::MatrixF& factor, const lattice::CodebookFamily& family, int extra) {
  const auto n = static_cast<std::size_t>(factor.columns());
  double least = std::numeric_limits<double>::infinity();
  for (int choice = 0; choice < static_cast<int>(std::pow(3, n)); ++choice) {
    std::vector<std::uint8_t> bits;
    for (int rest = choice; bits.size() < n; rest /= 3) {
      bits.push_back(static_cast<std::uint8_t>(2 + rest % 3));
    }
    const int sum = std::accumulate(bits.begin(), bits.end(), 0);
    if (sum == 2 * static_cast<int>(n) + extra) {
      least = std::min(least, ErrorOf(factor, family, bits));
    }
  }
  return least;
}

TEST(ColumnBits, AreTheBestChoiceForTheirNumber) {
  const linalg::MatrixF factor = Diagonal({1, .1F, 3, .5F, 2.9F, .02F, .7F});
  for (const auto kind : {model::CodebookKind::kE8P, model::CodebookKind::kTrellis12}) {
    const lattice::CodebookFamily family = Family(kind);
    for (int extra = 0; extra <= 14; ++extra) {
      const std::vector<std::uint8_t> bits = ChooseColumnBits(factor.view(), family, extra);
      EXPECT_EQ(std::accumulate(bits.begin(), bits.end(), 0), 14 + extra);
      EXPECT_NEAR(ErrorOf(factor, family, bits), LeastError(factor, family, extra), 1e-12) << extra;
    }
  }
}

TEST(ColumnBits, GoToTheFirstOfEqualColumns) {
  const linalg::MatrixF factor = Diagonal({1, 1, 1, 1});
  const std::vector<std::uint8_t> expected = {3, 3, 2, 2};
  EXPECT_EQ(ChooseColumnBits(factor.view(), Family(model::CodebookKind::kE8P), 2), expected);
}

TEST(ColumnBits, BeatColumnsOfTwoWidthsAtRandom) {
  const linalg::MatrixF weight = HeavyTailedWeight(128, 192);
  const linalg::MatrixF hessian = OutlierHessian(192);
  for (const auto kind : {model::CodebookKind::kE8P, model::CodebookKind::kTrellis10}) {
    const auto run = [&](double q_bits) {
      DecomposeOptions options = OptionsOf(q_bits, 0, 4);
      options.codebook = kind;
      auto result = DecomposeAlone(weight, hessian, options);
      CALDERA_CHECK(result.ok(), "test case");
      return *std::move(result);
    };
    const DecomposeResult mixed = run(2.5);
    const double two = run(2).relative_error;
    const double three = run(3).relative_error;
    EXPECT_LT(mixed.relative_error, .95 * std::sqrt((two * two + three * three) / 2));
    EXPECT_GT(mixed.relative_error, three);
    EXPECT_EQ(mixed.matrix.header.extra_bytes(), 96);
    const auto decoded = DecodeMatrix(mixed.matrix);
    ASSERT_TRUE(decoded.ok()) << base::MessageOf(decoded.status());
    EXPECT_NEAR(mixed.relative_error, PlainRelativeError(weight, *decoded, hessian),
                1e-5 * mixed.relative_error);
  }
}

TEST(ColumnBits, WorkBesideFactorsOfAnyWidth) {
  const linalg::MatrixF weight = HeavyTailedWeight(72, 96);
  const linalg::MatrixF hessian = OutlierHessian(96);
  for (const int factor_bits : {4, 16}) {
    const auto error = [&](double q_bits) {
      const auto result = DecomposeAlone(weight, hessian, OptionsOf(q_bits, 16, factor_bits));
      CALDERA_CHECK(result.ok(), "test case");
      EXPECT_TRUE(model::ValidateCompressedMatrix(result->matrix, "test").ok());
      return result->relative_error;
    };
    EXPECT_LT(error(2.5), error(2));
    EXPECT_LT(error(3.5), error(2.5));
  }
}

TEST(ColumnBits, OutOfRangeAreRefused) {
  for (const double q_bits : {1.5, 4.5, std::numeric_limits<double>::quiet_NaN()}) {
    const auto result =
        DecomposeAlone(HeavyTailedWeight(16, 16), Identity(16), OptionsOf(q_bits, 0, 4));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace caldera::decompose
