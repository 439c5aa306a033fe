#include "numerics/linalg/blas.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/numerics/linalg/matrices.h"

namespace caldera::linalg {
namespace {

template <typename T>
class Blas : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Blas, Scalars);

// A value of the given shape under `op`, as an operand on `storage`.
template <typename T>
Operand<T> RandomOperand(Matrix<T>& storage, Op op, std::int64_t rows, std::int64_t columns) {
  storage = op == Op::kNone ? NormalMatrix<T>(rows, columns, 1) : NormalMatrix<T>(columns, rows, 1);
  return {storage.view(), op};
}

// Rounding of sums of k products of values below 5.
template <typename T>
double Tolerance(std::int64_t k) {
  return 25 * kEpsilon<T> * static_cast<double>(k + 4);
}

TYPED_TEST(Blas, GemmAgreesWithThreeLoopsForAllOperands) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const Shape& s : {Shape{0, 3, 2}, Shape{3, 0, 2}, Shape{3, 4, 0}, Shape{1, 1, 1},
                         Shape{7, 13, 5}, Shape{65, 66, 67}}) {
    for (const Op op_a : {Op::kNone, Op::kTranspose}) {
      for (const Op op_b : {Op::kNone, Op::kTranspose}) {
        Matrix<TypeParam> a_storage;
        Matrix<TypeParam> b_storage;
        const auto a = RandomOperand(a_storage, op_a, s.m, s.k);
        const auto b = RandomOperand(b_storage, op_b, s.k, s.n);
        Matrix<TypeParam> c(s.m, s.n);
        Gemm(a, b, c.view());
        EXPECT_LE(MaxDifference(c, PlainProduct(a, b)), Tolerance<TypeParam>(s.k));
      }
    }
  }
}

TYPED_TEST(Blas, GemmScalesBothTermsAndLeavesTheRestOfTheMatrix) {
  const auto a = NormalMatrix<TypeParam>(3, 4, 1);
  const auto b = NormalMatrix<TypeParam>(4, 5, 2);
  auto c = NormalMatrix<TypeParam>(6, 9, 3);
  const auto before = c;
  Gemm(a, b, c.view().Block(1, 2, 3, 5), {2, -3});
  const MatrixD product = PlainProduct<TypeParam>(a, b);
  for (std::int64_t i = 0; i < 6; ++i) {
    for (std::int64_t j = 0; j < 9; ++j) {
      const bool inside = i >= 1 && i < 4 && j >= 2 && j < 7;
      const double expected = inside ? 2 * product(i - 1, j - 2) - 3.0 * before(i, j)
                                     : static_cast<double>(before(i, j));
      EXPECT_NEAR(c(i, j), expected, Tolerance<TypeParam>(40));
    }
  }
}

TYPED_TEST(Blas, BetaZeroForgetsNan) {
  constexpr TypeParam kNan = std::numeric_limits<TypeParam>::quiet_NaN();
  const auto a = NormalMatrix<TypeParam>(2, 2, 1);
  Matrix<TypeParam> c(2, 2);
  std::fill_n(c.data(), 4, kNan);
  Gemm(a, a, c.view());
  EXPECT_LE(MaxDifference(c, PlainProduct<TypeParam>(a, a)), Tolerance<TypeParam>(2));
  std::fill_n(c.data(), 4, kNan);
  SyrkLower(a, c.view());
  EXPECT_FALSE(std::isnan(c(0, 0)) || std::isnan(c(1, 0)) || std::isnan(c(1, 1)));
  std::vector<TypeParam> y(2, kNan);
  Gemv(a, std::span<const TypeParam>(a.data(), 2), std::span<TypeParam>(y));
  EXPECT_FALSE(std::isnan(y[0]) || std::isnan(y[1]));
}

TYPED_TEST(Blas, SyrkWritesTheLowerTriangleOnly) {
  for (const Op op : {Op::kNone, Op::kTranspose}) {
    Matrix<TypeParam> storage;
    const auto a = RandomOperand(storage, op, 9, 6);
    Operand<TypeParam> right = a;
    right.op = op == Op::kNone ? Op::kTranspose : Op::kNone;
    const MatrixD product = PlainProduct(a, right);
    Matrix<TypeParam> c(9, 9);
    SyrkLower(a, c.view());
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t j = 0; j < 9; ++j) {
        EXPECT_NEAR(c(i, j), j <= i ? product(i, j) : 0.0, Tolerance<TypeParam>(6));
      }
    }
    MirrorLower(c.view());
    EXPECT_LE(MaxDifference(c, product), Tolerance<TypeParam>(6));
  }
}

TYPED_TEST(Blas, GemvAgreesWithThreeLoops) {
  for (const Op op : {Op::kNone, Op::kTranspose}) {
    Matrix<TypeParam> storage;
    const auto a = RandomOperand(storage, op, 7, 5);
    const auto x = NormalMatrix<TypeParam>(5, 1, 2);
    Matrix<TypeParam> y(7, 1);
    Gemv(a, std::span<const TypeParam>(x.data(), 5), std::span<TypeParam>(y.data(), 7));
    EXPECT_LE(MaxDifference(y, PlainProduct<TypeParam>(a, x)), Tolerance<TypeParam>(5));
  }
}

TYPED_TEST(Blas, TrsmSolvesOnBothSides) {
  auto triangle = NormalMatrix<TypeParam>(6, 6, 1);
  for (std::int64_t i = 0; i < 6; ++i) triangle(i, i) = 4;
  Matrix<TypeParam> lower = triangle;
  for (std::int64_t i = 0; i < 6; ++i) {
    for (std::int64_t j = i + 1; j < 6; ++j) lower(i, j) = 0;
  }
  for (const Op op : {Op::kNone, Op::kTranspose}) {
    const auto b = NormalMatrix<TypeParam>(6, 3, 2);
    auto x = b;
    TrsmLower(Side::kLeft, {triangle.view(), op}, x.view());
    EXPECT_LE(MaxDifference(b, PlainProduct<TypeParam>({lower.view(), op}, x)),
              20 * Tolerance<TypeParam>(6));
    const auto b_right = NormalMatrix<TypeParam>(3, 6, 2);
    auto x_right = b_right;
    TrsmLower(Side::kRight, {triangle.view(), op}, x_right.view());
    EXPECT_LE(MaxDifference(b_right, PlainProduct<TypeParam>(x_right, {lower.view(), op})),
              20 * Tolerance<TypeParam>(6));
  }
}

TYPED_TEST(Blas, TrsmTakesTheDiagonalAsOnesWhenAsked) {
  Matrix<TypeParam> triangle(2, 2);
  triangle(0, 0) = 5;
  triangle(1, 0) = 2;
  triangle(1, 1) = 7;
  Matrix<TypeParam> b(2, 1);
  b(0, 0) = 3;
  b(1, 0) = 10;
  TrsmLower(Side::kLeft, triangle, b.view(), Diagonal::kUnit);
  EXPECT_EQ(b(0, 0), 3);
  EXPECT_EQ(b(1, 0), 4);
}

TYPED_TEST(Blas, DotAndCopiesFollowTheirDefinition) {
  for (const std::int64_t columns : {0, 1, 7, 8, 35}) {
    const auto a = NormalMatrix<TypeParam>(3, columns, 1);
    const auto b = NormalMatrix<TypeParam>(3, columns, 2);
    double expected = 0;
    for (std::int64_t i = 0; i < 3 * columns; ++i) {
      expected += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
    }
    EXPECT_NEAR(Dot(a.view(), b.view()), expected, 1e-12);
    Matrix<TypeParam> transposed(columns, 3);
    Copy(Operand<TypeParam>(a.view(), Op::kTranspose), transposed.view());
    for (std::int64_t i = 0; i < 3; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) EXPECT_EQ(transposed(j, i), a(i, j));
    }
  }
}

#if defined(__x86_64__)
TEST(BlasCore, IsNotTheFallbackOnAProcessorWithAvx2) {
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  PinBlasToOneThread();
  EXPECT_TRUE(!has_avx2 || BlasCore() != "Prescott");
}
#endif

TEST(BlasCopies, ConvertBetweenPrecisions) {
  const MatrixF a = NormalMatrix<float>(3, 5, 1);
  MatrixD wide(3, 5);
  Copy(a.view(), wide.view());
  MatrixF back(3, 5);
  Copy(ConstViewD(wide.view()), back.view());
  EXPECT_EQ(MaxDifference(a, wide), 0.0);
  EXPECT_EQ(MaxDifference(a, back), 0.0);
}

}  // namespace
}  // namespace caldera::linalg
