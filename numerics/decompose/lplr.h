// X -> L R or Q + L R for a matrix of plain data, in the Frobenius norm: low-precision low-rank
// approximation (LPLR, arXiv 2310.11028; what is computed: docs/algorithms.md, "Data matrices").
//
// One process, all of X in memory. The result is the same bits for any number of threads.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LPLR_H_
#define CALDERA_NUMERICS_DECOMPOSE_LPLR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "common/model/compressed_matrix.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

struct LplrOptions {
  std::int64_t rank = 0;        // 1 .. min(m, n)
  base::Bits factor_bits{4};    // of L and R: 4, 8, 16
  base::Bits residual_bits{0};  // of Q: 2, 3, 4; 0: no Q
  std::uint64_t seed = 0;       // of the sketch and of the rotations
};

struct LplrResult {
  model::CompressedMatrix matrix;
  // ||X - A||_F / ||X||_F of the rank-r matrix A that the sketch gives before anything is rounded:
  // close above the truncated singular value decomposition. 0 when X is.
  double unquantised_error = 0;
  // The same, with products in float32, of L R after each alternation or, where there is a Q, of
  // Q + L R after each round. The matrix returned is the best of them.
  std::vector<double> error_curve;
};

// Compresses the m x n matrix `data`. INVALID_ARGUMENT: no values, a rank or bits out of range, a
// value that is not finite in float32 (names row and column). Cost: one FitPair (pair_fit.h)
// without Q, up to 4 with it, each followed by encoding m n values.
absl::StatusOr<LplrResult> Lplr(linalg::ConstViewD data, const LplrOptions& options);

// ||X - A||_F / ||X||_F with differences and sums in float64; 0 when A = X, infinite when only X is
// 0. Precondition: equal shapes.
double RelativeFrobeniusError(linalg::ConstViewD x, linalg::ConstViewF a);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LPLR_H_
