// A Hessian that is cheap to make at any size: the decaying spectrum and the outlier channels of
// real inputs.
#ifndef CALDERA_BENCH_SYNTHETIC_H_
#define CALDERA_BENCH_SYNTHETIC_H_

#include <cmath>
#include <cstdint>

#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/parallel_blas.h"
#include "numerics/linalg/random.h"

namespace caldera::bench {

// Replaces `hessian` (n x n) by S (B B^T + D) S, positive definite: B n x 64 normal with column k
// scaled by 1 / sqrt(k + 1), D diagonal from 1 down to 1/17, S = 10 on every 37th channel and 1
// elsewhere. The same values for any number of threads. 64 n^2 flops.
inline void FillHessian(linalg::ViewF hessian) {
  constexpr std::int64_t kRank = 64;
  constexpr std::int64_t kOutlierStep = 37;
  const auto outlier = [](std::int64_t i) { return i % kOutlierStep == 0 ? 10.0F : 1.0F; };
  const std::int64_t n = hessian.rows;
  linalg::MatrixF basis(n, kRank);
  linalg::Random(70).FillNormal(basis.view());
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t k = 0; k < kRank; ++k) {
      basis(i, k) *= outlier(i) / std::sqrt(static_cast<float>(k + 1));
    }
  }
  linalg::SyrkLowerByTiles(basis, hessian);
  for (std::int64_t i = 0; i < n; ++i) {
    const float decay = 1 + 16 * static_cast<float>(i) / static_cast<float>(n);
    hessian(i, i) += outlier(i) * outlier(i) / decay;
  }
  linalg::MirrorLower(hessian);
}

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_SYNTHETIC_H_
