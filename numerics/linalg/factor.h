// Factorisations and small dense problems. The only file pair that reaches lapacke.h.
//
// Large float32 factors run over fixed tiles in ParallelFor and give the same bits for any number
// of threads; small float64 problems (r x r) run on the calling thread. All shapes may be 0.
// Errors: FAILED_PRECONDITION naming the pivot where a matrix is not positive definite (NaN
// counts), INTERNAL where LAPACK does not converge.
#ifndef CALDERA_NUMERICS_LINALG_FACTOR_H_
#define CALDERA_NUMERICS_LINALG_FACTOR_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::linalg {

// A = C C^T, C lower: replaces the lower triangle of the n x n symmetric A by C; the strict upper
// triangle is neither read nor written. n^3 / 3 flops, parallel. On failure A is partly
// overwritten.
absl::Status CholeskyLower(ViewF a);
absl::Status CholeskyLower(ViewD a);

// The same by processes that share the memory of `a`, each its blocks: all call it, `meet` returns
// when all have called that, and what they wrote before is seen by all after. Same bits and same
// status for any number of them. Two meetings for each 128 columns; all must have met before and
// have met when it returns. `go_on`, unless empty, is asked before each 128 columns, by all, and
// must answer all alike: an error ends the factorisation with it.
absl::Status CholeskyLower(ViewF a, const Share& share, const std::function<void()>& meet,
                           const std::function<absl::Status()>& go_on = {});

// Sets the strict upper triangle to zero: a factor that Gemm may read as a full matrix.
void ZeroStrictUpper(ViewF a);
void ZeroStrictUpper(ViewD a);

// H = L D L^T with L unit lower from H = C C^T: L(j, k) = C(j, k) / C(k, k), d_k = C(k, k)^2.
// Replaces the lower triangle of `cholesky` (n x n) by L (ones on the diagonal) and fills `d` (n
// values). The LDLQ feedback from the last column to the first is target_k = A_k + sum_{j > k} (A_j
// - Q_j) L(j, k).
void UnitLowerFromCholesky(ViewF cholesky, std::span<float> d);

// Replaces a lower triangular n x n matrix (non-zero diagonal) by its inverse; the strict upper
// triangle is neither read nor written. n^3 / 3 flops, parallel over fixed tiles.
void InvertLower(ViewF a);
void InvertLower(ViewD a);

// Solves (S + ridge * (tr S / r) * I) X = B in place of B (r x k) for symmetric S (r x r, lower
// triangle read, then overwritten by its factor). r^3 / 3 + 2 r^2 k flops, the solves parallel over
// columns of B.
absl::Status SolveSpd(ViewD s, ViewD b, double ridge);

// The same from the right: X (S + ridge * (tr S / r) * I) = B in place of B (k x r), parallel over
// rows.
absl::Status SolveSpdRight(ViewD s, ViewD b, double ridge);

// Replaces the n x r columns of V (n >= r) by orthonormal ones spanning the same space: Cholesky-QR
// twice with the Gram matrix in float64; columns that are dependent to float precision make it fall
// back to Householder QR, which completes them. |V^T V - I| <= r * 2e-7 element-wise. About 4 n r^2
// flops, parallel. FAILED_PRECONDITION when V holds NaN or infinity.
absl::Status OrthonormalizeColumns(ViewF v);

// Eigenvalues in descending order and eigenvectors as columns of `vectors`, from the lower triangle
// of the symmetric n x n matrix (dsyevd). For small n: 9 n^3 flops on one thread.
struct SymmetricEigen {
  std::vector<double> values;  // n
  MatrixD vectors;             // n x n, column j belongs to values[j]
};
absl::StatusOr<SymmetricEigen> EigenOfSymmetric(ConstViewD a);

// A = U diag(s) V^T with k = min(m, n), s descending (dgesdd). For small matrices, one thread.
struct ThinSvd {
  MatrixD u;              // m x k
  std::vector<double> s;  // k
  MatrixD v_transposed;   // k x n
};
absl::StatusOr<ThinSvd> Svd(ConstViewD a);

}  // namespace caldera::linalg

#endif  // CALDERA_NUMERICS_LINALG_FACTOR_H_
