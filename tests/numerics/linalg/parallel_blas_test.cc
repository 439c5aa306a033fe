#include "numerics/linalg/parallel_blas.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "numerics/kernels/parallel.h"
#include "tests/numerics/linalg/matrices.h"

namespace caldera::linalg {
namespace {

template <typename T>
bool SameBits(const Matrix<T>& a, const Matrix<T>& b) {
  const auto bytes = static_cast<std::size_t>(a.rows() * a.columns()) * sizeof(T);
  return bytes == 0 || std::memcmp(a.data(), b.data(), bytes) == 0;
}

template <typename T>
class ParallelBlas : public ::testing::Test {
 protected:
  void TearDown() override { kernels::SetThreads(1); }

  // Runs `compute` with 1, 2 and 3 threads, expects equal bits, and returns the result.
  static Matrix<T> ForAnyThreads(const std::function<Matrix<T>()>& compute) {
    kernels::SetThreads(1);
    const Matrix<T> result = compute();
    for (const int threads : {2, 3}) {
      kernels::SetThreads(threads);
      EXPECT_TRUE(SameBits(compute(), result));
    }
    return result;
  }
};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ParallelBlas, Scalars);

TYPED_TEST(ParallelBlas, GemmByBlocksAgreesWithThreeLoopsForAnyThreads) {
  for (const std::int64_t m : {0, 1, 31, 70}) {
    const auto a = NormalMatrix<TypeParam>(m, 40, 1);
    const auto b = NormalMatrix<TypeParam>(33, 40, 2);
    const Operand<TypeParam> right(b.view(), Op::kTranspose);
    const double tolerance = 40 * 25 * kEpsilon<TypeParam>;
    const auto by_rows = this->ForAnyThreads([&] {
      Matrix<TypeParam> c(m, 33);
      GemmByRows(a, right, c.view(), {}, 16);
      return c;
    });
    EXPECT_LE(MaxDifference(by_rows, PlainProduct<TypeParam>(a, right)), tolerance);
    const auto by_columns = this->ForAnyThreads([&] {
      Matrix<TypeParam> c(m, 33);
      GemmByColumns(a, right, c.view(), {}, 16);
      return c;
    });
    EXPECT_LE(MaxDifference(by_columns, PlainProduct<TypeParam>(a, right)), tolerance);
  }
}

TYPED_TEST(ParallelBlas, SyrkByTilesLeavesTheUpperTriangleForAnyThreads) {
  for (const std::int64_t n : {0, 1, 16, 50}) {
    const auto x = NormalMatrix<TypeParam>(23, n, 1);
    const Operand<TypeParam> columns(x.view(), Op::kTranspose);
    const auto c = this->ForAnyThreads([&] {
      Matrix<TypeParam> result(n, n);
      SyrkLowerByTiles(columns, result.view(), {}, 16);
      return result;
    });
    MatrixD expected = PlainProduct<TypeParam>(columns, x);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i + 1; j < n; ++j) expected(i, j) = 0;
    }
    EXPECT_LE(MaxDifference(c, expected), 25 * 25 * kEpsilon<TypeParam>);
  }
}

TYPED_TEST(ParallelBlas, SolvesByBlocksUndoTheProductForAnyThreads) {
  auto triangle = NormalMatrix<TypeParam>(20, 20, 1);
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t j = 0; j < 20; ++j) triangle(i, j) = j > i ? 0 : triangle(i, j) / 8;
    triangle(i, i) = 2;
  }
  const auto x = NormalMatrix<TypeParam>(37, 20, 2);
  Matrix<TypeParam> product(37, 20);
  Gemm(x, triangle, product.view());
  const auto right = this->ForAnyThreads([&] {
    auto b = product;
    SolveRightByRows(triangle, b.view(), 8);
    return b;
  });
  EXPECT_LE(MaxDifference(right, x), 20 * 200 * kEpsilon<TypeParam>);
  Matrix<TypeParam> left_product(20, 37);
  Matrix<TypeParam> y(20, 37);
  Copy(Operand<TypeParam>(x.view(), Op::kTranspose), y.view());
  Gemm(triangle, y, left_product.view());
  const auto left = this->ForAnyThreads([&] {
    auto b = left_product;
    SolveLeftByColumns(triangle, b.view(), 8);
    return b;
  });
  EXPECT_LE(MaxDifference(left, y), 20 * 200 * kEpsilon<TypeParam>);
}

TEST(ParallelBlasRanks, SeveralThreadsOfAProcessGetTheSameBits) {
  const MatrixF a = NormalMatrix<float>(300, 300, 1);
  MatrixF expected(300, 300);
  GemmByRows(a, a, expected.view(), {}, 64);
  kernels::SetThreads(2);
  std::vector<MatrixF> results(4, MatrixF(300, 300));
  std::vector<std::thread> ranks;
  for (MatrixF& result : results) {
    ranks.emplace_back([&] { GemmByRows(a, a, result.view(), {}, 64); });
  }
  for (std::thread& rank : ranks) rank.join();
  kernels::SetThreads(1);
  for (const MatrixF& result : results) EXPECT_TRUE(SameBits(result, expected));
}

}  // namespace
}  // namespace caldera::linalg
