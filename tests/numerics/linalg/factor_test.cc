#include "numerics/linalg/factor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/linalg/matrices.h"

namespace caldera::linalg {
namespace {

using ::testing::HasSubstr;

// Symmetric positive definite with eigenvalues in about [1, 5].
template <typename T>
Matrix<T> WellConditioned(std::int64_t n) {
  const auto x = NormalMatrix<T>(n, n, 9);
  Matrix<T> a(n, n);
  Gemm(x, Operand<T>(x.view(), Op::kTranspose), a.view(), {1.0 / static_cast<double>(n), 0});
  for (std::int64_t i = 0; i < n; ++i) a(i, i) += 1;
  return a;
}

// The factor by threads that stand for processes, and what each is told.
std::vector<absl::Status> CholeskyByThreads(ViewF a, int processes) {
  std::vector<absl::Status> statuses(static_cast<std::size_t>(processes));
  std::barrier meeting(processes);
  std::vector<std::thread> threads;
  for (int place = 0; place < processes; ++place) {
    threads.emplace_back([&, place] {
      statuses[static_cast<std::size_t>(place)] =
          CholeskyLower(a, {place, processes}, [&] { meeting.arrive_and_wait(); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

template <typename T>
class Factor : public ::testing::Test {
 protected:
  void TearDown() override { kernels::SetThreads(1); }
};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Factor, Scalars);

TYPED_TEST(Factor, CholeskyOfTheMinMatrixIsOnes) {
  for (const std::int64_t n : {0, 1, 2, 100, 127, 128, 129, 700}) {
    auto a = MinMatrix<TypeParam>(n);
    ASSERT_TRUE(CholeskyLower(a.view()).ok()) << n;
    // Integers up to n: nothing is rounded.
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) ASSERT_EQ(a(i, j), 1) << n << " " << i << " " << j;
      for (std::int64_t j = i + 1; j < n; ++j) ASSERT_EQ(a(i, j), i + 1);
    }
  }
}

TYPED_TEST(Factor, CholeskyReproducesTheMatrixWithTheSameBitsForAnyThreads) {
  constexpr std::int64_t kSize = 1100;
  const auto a = WellConditioned<TypeParam>(kSize);
  std::vector<Matrix<TypeParam>> factors;
  for (const int threads : {1, 2, 3}) {
    kernels::SetThreads(threads);
    factors.push_back(a);
    ASSERT_TRUE(CholeskyLower(factors.back().view()).ok());
    EXPECT_EQ(
        std::memcmp(factors[0].data(), factors.back().data(), kSize * kSize * sizeof(TypeParam)),
        0);
  }
  ZeroStrictUpper(factors[0].view());
  Matrix<TypeParam> product(kSize, kSize);
  Gemm(factors[0], Operand<TypeParam>(factors[0].view(), Op::kTranspose), product.view());
  // Backward error: (n + 1) eps |C||C^T|, with diagonal about 2.
  EXPECT_LE(MaxDifference(product, a), 2 * kSize * kEpsilon<TypeParam>);
}

TEST(SharedCholesky, HasTheBitsOfOneProcessForAnyNumber) {
  for (const std::int64_t n : {0, 1, 128, 300, 1100}) {
    const auto a = WellConditioned<float>(n);
    MatrixF alone = a;
    ASSERT_TRUE(CholeskyLower(alone.view()).ok());
    for (const int processes : {1, 2, 3}) {
      MatrixF shared = a;
      for (const absl::Status& status : CholeskyByThreads(shared.view(), processes)) {
        EXPECT_TRUE(status.ok());
      }
      EXPECT_EQ(MaxDifference(shared, alone), 0) << n << " by " << processes;
    }
  }
}

TEST(SharedCholesky, TellsAllProcessesTheFailingPivot) {
  auto a = WellConditioned<float>(300);
  a(130, 130) = -1;
  for (const absl::Status& status : CholeskyByThreads(a.view(), 3)) {
    EXPECT_THAT(base::MessageOf(status), HasSubstr("pivot 130 "));
  }
}

TEST(SharedCholesky, AsksBeforeEachPanelWhetherToGoOn) {
  for (const int last : {1, 2, 3}) {
    auto a = WellConditioned<float>(300);
    int asked = 0;
    const absl::Status status = CholeskyLower(
        a.view(), {}, [] {},
        [&] { return ++asked == last ? base::Cancelled("enough") : absl::OkStatus(); });
    EXPECT_TRUE(absl::IsCancelled(status));
    EXPECT_EQ(asked, last);
  }
}

TYPED_TEST(Factor, CholeskyNamesTheFailingPivot) {
  for (const std::int64_t bad : {0, 5, 130, 299}) {
    auto a = WellConditioned<TypeParam>(300);
    a(bad, bad) = -1;
    const absl::Status status = CholeskyLower(a.view());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(base::MessageOf(status), HasSubstr("pivot " + std::to_string(bad) + " "));
  }
}

TYPED_TEST(Factor, CholeskyRefusesNanAndInfinity) {
  for (const TypeParam value :
       {std::numeric_limits<TypeParam>::quiet_NaN(), std::numeric_limits<TypeParam>::infinity()}) {
    auto diagonal = WellConditioned<TypeParam>(140);
    diagonal(3, 3) = value;
    EXPECT_EQ(CholeskyLower(diagonal.view()).code(), absl::StatusCode::kFailedPrecondition);
    auto beside = WellConditioned<TypeParam>(140);
    beside(135, 3) = value;
    EXPECT_EQ(CholeskyLower(beside.view()).code(), absl::StatusCode::kFailedPrecondition);
  }
}

TYPED_TEST(Factor, InvertLowerGivesTheInverse) {
  for (const std::int64_t n : {0, 1, 2, 129, 300}) {
    auto c = WellConditioned<TypeParam>(n);
    ASSERT_TRUE(CholeskyLower(c.view()).ok());
    auto inverse = c;
    InvertLower(inverse.view());
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i + 1; j < n; ++j) ASSERT_EQ(inverse(i, j), c(i, j));
    }
    ZeroStrictUpper(c.view());
    ZeroStrictUpper(inverse.view());
    Matrix<TypeParam> product(n, n);
    Gemm(c, inverse, product.view());
    EXPECT_LE(MaxDifference(product, Identity(n)),
              10 * kEpsilon<TypeParam> * static_cast<double>(n));
  }
}

TEST(UnitLower, ReproducesTheMatrixWithItsDiagonal) {
  for (const std::int64_t n : {0, 1, 5, 140}) {
    const MatrixF a = WellConditioned<float>(n);
    MatrixF unit = a;
    ASSERT_TRUE(CholeskyLower(unit.view()).ok());
    std::vector<float> d(static_cast<std::size_t>(n));
    UnitLowerFromCholesky(unit.view(), d);
    ZeroStrictUpper(unit.view());
    MatrixF scaled = unit;
    for (std::int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(unit(i, i), 1.0F);
      for (std::int64_t k = 0; k <= i; ++k) scaled(i, k) *= d[static_cast<std::size_t>(k)];
    }
    EXPECT_LE(MaxDifference(a, PlainProduct<float>(scaled, Transposed(unit.view()))),
              10 * 6e-8 * static_cast<double>(n) + 1e-30);
  }
}

TEST(SolveSpd, SolvesFromBothSides) {
  for (const std::int64_t r : {1, 7, 130}) {
    const MatrixD s = WellConditioned<double>(r);
    const MatrixD x = NormalMatrix<double>(r, 11, 4);
    MatrixD b = PlainProduct<double>(s, x);
    MatrixD factor = s;
    ASSERT_TRUE(SolveSpd(factor.view(), b.view(), 0).ok());
    EXPECT_LE(MaxDifference(b, x), 1e-13 * static_cast<double>(r + 10));
    const MatrixD y = NormalMatrix<double>(11, r, 5);
    b = PlainProduct<double>(y, s);
    factor = s;
    ASSERT_TRUE(SolveSpdRight(factor.view(), b.view(), 0).ok());
    EXPECT_LE(MaxDifference(b, y), 1e-13 * static_cast<double>(r + 10));
  }
}

TEST(SolveSpd, AddsTheRidgeRelativeToTheMeanOfTheDiagonal) {
  MatrixD s(2, 2);
  s(0, 0) = 3;
  s(1, 1) = 1;
  MatrixD b(2, 1);
  b(0, 0) = 4;
  b(1, 0) = 4;
  ASSERT_TRUE(SolveSpd(s.view(), b.view(), 0.5).ok());
  EXPECT_DOUBLE_EQ(b(0, 0), 1.0);
  EXPECT_DOUBLE_EQ(b(1, 0), 2.0);
}

TEST(SolveSpd, ReportsASingularMatrixWithoutRidge) {
  MatrixD s(2, 2);
  MatrixD b(2, 1);
  EXPECT_EQ(SolveSpd(s.view(), b.view(), 1e-8).code(), absl::StatusCode::kFailedPrecondition);
}

double DistanceFromOrthonormal(const MatrixF& v) {
  return MaxDifference(PlainProduct<float>(Transposed(v.view()), v), Identity(v.columns()));
}

TEST(OrthonormalizeColumns, KeepsTheSpan) {
  for (const std::int64_t r : {0, 1, 5, 70}) {
    const MatrixF before = NormalMatrix<float>(90, r, 6);
    MatrixF after = before;
    ASSERT_TRUE(OrthonormalizeColumns(after.view()).ok());
    EXPECT_LE(DistanceFromOrthonormal(after), 2e-7 * static_cast<double>(r));
    const MatrixD coefficients = PlainProduct<float>(Transposed(after.view()), before);
    const double norm = Dot(before.view(), before.view());
    EXPECT_NEAR(Dot(coefficients.view(), coefficients.view()), norm, 1e-6 * norm + 1e-30);
  }
}

TEST(OrthonormalizeColumns, CompletesDependentAndNearlyDependentColumns) {
  MatrixF v = NormalMatrix<float>(40, 6, 6);
  for (std::int64_t i = 0; i < 40; ++i) {
    v(i, 1) = v(i, 0);
    v(i, 3) = 0;
    v(i, 4) = v(i, 2) * (1.0F + 1e-6F * static_cast<float>(i % 3));
  }
  ASSERT_TRUE(OrthonormalizeColumns(v.view()).ok());
  EXPECT_LE(DistanceFromOrthonormal(v), 1e-6);
}

TEST(OrthonormalizeColumns, RefusesNan) {
  MatrixF v = NormalMatrix<float>(4, 2, 6);
  v(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(OrthonormalizeColumns(v.view()).code(), absl::StatusCode::kFailedPrecondition);
}

// The second-difference matrix: eigenvalue k is 2 - 2 cos(pi k / (n + 1)), k = 1 .. n.
TEST(EigenOfSymmetric, FindsTheEigenvaluesOfTheSecondDifference) {
  for (const std::int64_t n : {0, 1, 2, 20}) {
    MatrixD a(n, n);
    for (std::int64_t i = 0; i < n; ++i) {
      a(i, i) = 2;
      if (i > 0) a(i, i - 1) = -1;
    }
    const auto eigen = EigenOfSymmetric(a.view());
    ASSERT_TRUE(eigen.ok());
    MirrorLower(a.view());
    const MatrixD image = PlainProduct<double>(a, eigen->vectors);
    for (std::int64_t j = 0; j < n; ++j) {
      const double angle = M_PI * static_cast<double>(n - j) / static_cast<double>(n + 1);
      const double value = eigen->values[static_cast<std::size_t>(j)];
      EXPECT_NEAR(value, 2 - 2 * std::cos(angle), 1e-13);
      for (std::int64_t i = 0; i < n; ++i) {
        EXPECT_NEAR(image(i, j), value * eigen->vectors(i, j), 1e-13);
      }
    }
  }
}

TEST(Svd, ReproducesTheMatrixWithOrthonormalFactors) {
  struct Shape {
    std::int64_t m, n;
  };
  for (const Shape& s : {Shape{0, 3}, Shape{1, 1}, Shape{4, 9}, Shape{9, 4}, Shape{30, 30}}) {
    const MatrixD a = NormalMatrix<double>(s.m, s.n, 7);
    const auto svd = Svd(a.view());
    ASSERT_TRUE(svd.ok());
    MatrixD scaled = svd->u;
    for (std::int64_t i = 0; i < scaled.rows(); ++i) {
      for (std::int64_t j = 0; j < scaled.columns(); ++j) {
        scaled(i, j) *= svd->s[static_cast<std::size_t>(j)];
      }
    }
    EXPECT_LE(MaxDifference(a, PlainProduct<double>(scaled, svd->v_transposed)), 1e-13);
    EXPECT_TRUE(std::is_sorted(svd->s.rbegin(), svd->s.rend()));
    EXPECT_LE(MaxDifference(PlainProduct<double>(Transposed(svd->u.view()), svd->u),
                            Identity(scaled.columns())),
              1e-13);
  }
}

}  // namespace
}  // namespace caldera::linalg
