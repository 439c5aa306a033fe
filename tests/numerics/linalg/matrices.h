// Closed-form and random matrices for the tests of this folder, and the norms they are judged by.
#ifndef CALDERA_TESTS_NUMERICS_LINALG_MATRICES_H_
#define CALDERA_TESTS_NUMERICS_LINALG_MATRICES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/random.h"

namespace caldera::linalg {

// rows x columns standard normal values.
template <typename T>
Matrix<T> NormalMatrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  const Random random(seed);
  Matrix<T> matrix(rows, columns);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    matrix.data()[i] = static_cast<T>(random.Normal(static_cast<std::uint64_t>(i)));
  }
  return matrix;
}

// min(i, j) + 1: positive definite; its Cholesky factor is the lower triangle of ones.
template <typename T>
Matrix<T> MinMatrix(std::int64_t n) {
  Matrix<T> matrix(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) matrix(i, j) = static_cast<T>(std::min(i, j) + 1);
  }
  return matrix;
}

// op(A) op(B) by three loops in float64.
template <typename T>
MatrixD PlainProduct(const Operand<T>& a, const Operand<T>& b) {
  const auto at = [](const Operand<T>& x, std::int64_t i, std::int64_t j) {
    return static_cast<double>(x.op == Op::kNone ? x.view(i, j) : x.view(j, i));
  };
  MatrixD product(a.rows(), b.columns());
  for (std::int64_t i = 0; i < product.rows(); ++i) {
    for (std::int64_t j = 0; j < product.columns(); ++j) {
      for (std::int64_t k = 0; k < a.columns(); ++k) product(i, j) += at(a, i, k) * at(b, k, j);
    }
  }
  return product;
}

template <typename T, typename U>
double MaxDifference(const Matrix<T>& a, const Matrix<U>& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    for (std::int64_t j = 0; j < a.columns(); ++j) {
      const double difference = static_cast<double>(a(i, j)) - static_cast<double>(b(i, j));
      // A NaN must not look like agreement.
      largest = std::isnan(difference) ? HUGE_VAL : std::max(largest, std::fabs(difference));
    }
  }
  return largest;
}

inline MatrixD Identity(std::int64_t n) {
  MatrixD identity(n, n);
  for (std::int64_t i = 0; i < n; ++i) identity(i, i) = 1;
  return identity;
}

// Unit roundoff of T.
template <typename T>
constexpr double kEpsilon = sizeof(T) == sizeof(float) ? 6e-8 : 1.2e-16;

}  // namespace caldera::linalg

#endif  // CALDERA_TESTS_NUMERICS_LINALG_MATRICES_H_
