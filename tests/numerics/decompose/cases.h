// Synthetic layers for the tests: heavy-tailed weights with a strong low-rank part, inputs with a
// 1/k spectrum and outlier channels.
#ifndef CALDERA_TESTS_NUMERICS_DECOMPOSE_CASES_H_
#define CALDERA_TESTS_NUMERICS_DECOMPOSE_CASES_H_

#include <cmath>
#include <cstdint>
#include <utility>

#include "numerics/decompose/decompose.h"
#include "numerics/decompose/hessian.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/row_partition.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/random.h"

namespace caldera::decompose {

inline linalg::MatrixF Gaussian(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  linalg::MatrixF matrix(rows, columns);
  linalg::Random(seed).FillNormal(matrix.view());
  return matrix;
}

// Student-t (5 degrees of freedom) weights of variance 1 plus a rank-`rank` part with 30 % of the
// energy.
inline linalg::MatrixF HeavyTailedWeight(std::int64_t rows, std::int64_t columns,
                                         std::int64_t rank = 8) {
  linalg::MatrixF weight = Gaussian(rows, columns, 1);
  const linalg::Random tail(2);
  std::uint64_t index = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double chi = 0;
      for (int k = 0; k < 5; ++k) chi += std::pow(tail.Normal(index++), 2);
      weight(i, j) *= static_cast<float>(std::sqrt(3 / chi));
    }
  }
  const linalg::MatrixF left = Gaussian(rows, rank, 3);
  const linalg::MatrixF right = Gaussian(rank, columns, 4);
  const double strength = std::sqrt(.3 / .7 / static_cast<double>(rank));
  linalg::Gemm(left, right, weight.view(), {strength, 1});
  return weight;
}

// E[x x^T] of inputs with eigenvalues 1/k in a random basis and every 37th channel 20 times as
// large.
inline linalg::MatrixF OutlierHessian(std::int64_t size) {
  linalg::MatrixF x = Gaussian(2 * size, size, 5);
  for (std::int64_t k = 0; k < size; ++k) {
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(k + 1)));
    for (std::int64_t t = 0; t < x.rows(); ++t) x(t, k) *= scale;
  }
  const linalg::MatrixF basis = Gaussian(size, size, 6);
  linalg::MatrixF mixed(x.rows(), size);
  linalg::Gemm(x, basis, mixed.view());
  for (std::int64_t k = 0; k < size; k += 37) {
    for (std::int64_t t = 0; t < x.rows(); ++t) mixed(t, k) *= 20;
  }
  linalg::MatrixF hessian(size, size);
  const double scale = 1 / static_cast<double>(x.rows());
  linalg::SyrkLower(linalg::Transposed(mixed.view()), hessian.view(), {scale, 0});
  linalg::MirrorLower(hessian.view());
  return hessian;
}

inline linalg::MatrixF Identity(std::int64_t size) {
  linalg::MatrixF identity(size, size);
  for (std::int64_t i = 0; i < size; ++i) identity(i, i) = 1;
  return identity;
}

inline DecomposeOptions OptionsOf(double q_bits, std::int64_t rank, int factor_bits) {
  DecomposeOptions options;
  options.q_bits = q_bits;
  options.rank = rank;
  options.l_bits = options.r_bits = base::Bits(factor_bits);
  options.output_seed = 7;
  return options;
}

// Decompose on one rank.
inline absl::StatusOr<DecomposeResult> DecomposeAlone(const linalg::MatrixF& weight,
                                                      linalg::MatrixF hessian,
                                                      const DecomposeOptions& options) {
  auto prepared = PrepareHessian(std::move(hessian), 3);
  if (!prepared.ok()) return prepared.status();
  dist::SerialCommunicator serial;
  return Decompose(weight.view(), dist::RowPartition(weight.rows(), RowBlock(weight.rows()), 1),
                   *prepared, options, serial);
}

// sqrt(tr(D H D^T) / tr(W H W^T)) by plain loops in float64.
inline double PlainRelativeError(const linalg::MatrixF& weight, const linalg::MatrixF& decoded,
                                 const linalg::MatrixF& hessian) {
  double error = 0;
  double reference = 0;
  for (std::int64_t i = 0; i < weight.rows(); ++i) {
    for (std::int64_t j = 0; j < weight.columns(); ++j) {
      double dh = 0;
      double wh = 0;
      for (std::int64_t k = 0; k < weight.columns(); ++k) {
        const double h = hessian(k, j);
        dh += (static_cast<double>(decoded(i, k)) - static_cast<double>(weight(i, k))) * h;
        wh += static_cast<double>(weight(i, k)) * h;
      }
      error += dh * (static_cast<double>(decoded(i, j)) - static_cast<double>(weight(i, j)));
      reference += wh * static_cast<double>(weight(i, j));
    }
  }
  return std::sqrt(error / reference);
}

}  // namespace caldera::decompose

#endif  // CALDERA_TESTS_NUMERICS_DECOMPOSE_CASES_H_
