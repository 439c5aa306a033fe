#include "numerics/decompose/block_ldlq.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/check.h"
#include "numerics/linalg/factor.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

const lattice::Codebook& E8p() {
  const auto codebook = lattice::FindCodebook(model::CodebookKind::kE8P, base::Bits(2));
  CALDERA_CHECK(codebook.ok(), "test case");
  return **codebook;
}

// Neighbouring inputs correlated by .9: LDLQ leaves .19 of the error of plain rounding at high
// rate.
linalg::MatrixF Correlated(std::int64_t size) {
  linalg::MatrixF hessian(size, size);
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t j = 0; j < size; ++j) {
      hessian(i, j) = std::pow(.9F, static_cast<float>(std::abs(i - j)));
    }
  }
  return hessian;
}

struct Case {
  Case(std::int64_t rows, std::int64_t columns)
      : weight(Gaussian(rows, columns, 4)), hessian(Correlated(columns)), factor(hessian) {
    CALDERA_CHECK(linalg::CholeskyLower(factor.view()).ok(), "test case");
    linalg::ZeroStrictUpper(factor.view());
  }
  // tr((Q - W) H (Q - W)^T).
  double Error(const Rounded& q) const {
    linalg::MatrixF difference = weight;
    for (std::int64_t i = 0; i < weight.rows(); ++i) {
      for (std::int64_t j = 0; j < weight.columns(); ++j) difference(i, j) -= q.decoded(i, j);
    }
    linalg::MatrixF product(weight.rows(), weight.columns());
    linalg::Gemm(difference, hessian, product.view());
    return linalg::Dot(difference.view(), product.view());
  }
  linalg::MatrixF weight;
  linalg::MatrixF hessian;
  linalg::MatrixF factor;
};

// One block of 8 columns of one row to its nearest grid point.
void EncodeBlock(const BlockGrid& grid, std::vector<double>& values) {
  std::vector<float> x(8);
  for (std::size_t k = 0; k < values.size(); ++k) x[k] = static_cast<float>(values[k]) / grid.scale;
  std::uint32_t code = 0;
  grid.codebook->Encode(x.data(), 1, 1, &code, x.data());
  for (std::size_t k = 0; k < values.size(); ++k)
    values[k] = static_cast<double>(grid.scale * x[k]);
}

// The definition, block by block with the block unit lower factor formed.
linalg::MatrixD PlainBlockLdlq(const Case& c, const BlockGrid& grid) {
  const std::int64_t n = c.weight.columns();
  linalg::MatrixD q(c.weight.rows(), n);
  for (std::int64_t i = 0; i < c.weight.rows(); ++i) {
    for (std::int64_t first = (n - 1) / 8 * 8; first >= 0; first -= 8) {
      const std::int64_t width = std::min<std::int64_t>(8, n - first);
      // x C_kk = sum_j e_j C_jk, from the last component (C_kk is lower).
      std::vector<double> x(static_cast<std::size_t>(width));
      for (std::int64_t k = width - 1; k >= 0; --k) {
        double sum = 0;
        for (std::int64_t j = first + width; j < n; ++j) {
          sum += (double{c.weight(i, j)} - q(i, j)) * double{c.factor(j, first + k)};
        }
        for (std::int64_t l = k + 1; l < width; ++l) {
          sum -= x[static_cast<std::size_t>(l)] * double{c.factor(first + l, first + k)};
        }
        x[static_cast<std::size_t>(k)] = sum / double{c.factor(first + k, first + k)};
      }
      for (std::int64_t k = 0; k < width; ++k) {
        x[static_cast<std::size_t>(k)] += double{c.weight(i, first + k)};
      }
      EncodeBlock(grid, x);
      for (std::int64_t k = 0; k < width; ++k) q(i, first + k) = x[static_cast<std::size_t>(k)];
    }
  }
  return q;
}

TEST(BlockLdlq, FollowsItsDefinition) {
  for (const std::int64_t columns : {5, 8, 150}) {
    const Case c(11, columns);
    const BlockGrid grid{&E8p(), 1 / 1.03F};
    const Rounded q = BlockLdlq(c.weight.view(), c.factor.view(), grid, {64});
    const linalg::MatrixD expected = PlainBlockLdlq(c, grid);
    std::int64_t different = 0;  // codewords that float32 decides otherwise change what follows
    for (std::int64_t i = 0; i < q.decoded.rows(); ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        different += std::abs(double{q.decoded(i, j)} - expected(i, j)) > 1e-4 ? 1 : 0;
      }
    }
    EXPECT_LE(different, q.decoded.rows() * columns / 20) << columns;
  }
}

TEST(BlockLdlq, GainsOverRoundingWithoutFeedback) {
  const Case c(64, 96);
  const BlockGrid grid{&E8p(), 1 / 1.03F};
  const linalg::MatrixF identity = Identity(96);
  const double plain = c.Error(BlockLdlq(c.weight.view(), identity.view(), grid, {64}));
  const Rounded q = BlockLdlq(c.weight.view(), c.factor.view(), grid, {64});
  EXPECT_LT(c.Error(q), .8 * plain);
}

TEST(BlockSweep, MovesTowardsTheMinimumOfEachBlock) {
  const Case c(64, 96);
  const BlockGrid grid{&E8p(), 1 / 1.03F};
  const linalg::MatrixF identity = Identity(96);
  Rounded q = BlockLdlq(c.weight.view(), identity.view(), grid, {64});
  const double before = c.Error(q);
  BlockSweep(c.weight.view(), c.hessian.view(), grid, {64}, q);
  EXPECT_LT(c.Error(q), .9 * before);
}

TEST(BlockSweep, LeavesGridPointsWhereTheyAre) {
  Case c(16, 24);
  const BlockGrid grid{&E8p(), .5F};
  c.weight = BlockLdlq(c.weight.view(), c.factor.view(), grid, {64}).decoded;
  Rounded q = BlockLdlq(c.weight.view(), c.factor.view(), grid, {64});
  EXPECT_EQ(c.Error(q), 0);
  const auto codes = q.codes;
  BlockSweep(c.weight.view(), c.hessian.view(), grid, {64}, q);
  EXPECT_EQ(q.codes, codes);
}

TEST(BlockLdlq, AScaleOfZeroGivesZeros) {
  const Case c(3, 9);
  const Rounded q = BlockLdlq(c.weight.view(), c.factor.view(), {&E8p(), 0}, {64});
  for (std::int64_t j = 0; j < 9; ++j) EXPECT_EQ(q.decoded(2, j), 0);
}

}  // namespace
}  // namespace caldera::decompose
