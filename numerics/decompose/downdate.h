// H with the directions that L R will repair taken out (algorithm: docs/algorithms.md, "Downdate").
// Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_DOWNDATE_H_
#define CALDERA_NUMERICS_DECOMPOSE_DOWNDATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/sweep.h"
#include "numerics/dist/shared_matrix.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// H - B B^T + delta I and its factor. B = H R^T C^-T with R H R^T = C C^T spans H times the row
// space of R, so that B B^T is the part of H that any matrix with those rows can cancel; times
// sqrt(1 - unrepaired) where it cannot quite.
struct DowndatedHessian {
  linalg::MatrixF basis;      // B, n x r
  dist::SharedMatrix factor;  // n x n lower
  float delta = 0;

  SweptHessian Swept(linalg::ConstViewF plain) const { return {plain, basis.view(), delta}; }
};

// delta = absolute + relative * the mean diagonal of H - B B^T (at least .001). `unrepaired`: the
// share of B B^T that stays in H, for factors too coarse to cancel all of it.
struct Ridge {
  float absolute = 0;
  float relative = 0;
  float unrepaired = 0;
};

// `rows` is R (r x n), the same on every rank, as are H (n x n) and the result. delta is raised (x2
// up to x64), and with it the ridge of R H R^T (x10), until the factor exists; then
// FAILED_PRECONDITION. 2 n^2 r flops split between the ranks, n^2 r + n^3 / 3 between those that
// share memory, and one gather of n x r.
absl::StatusOr<DowndatedHessian> Downdate(Context& context, linalg::ConstViewF hessian,
                                          linalg::ConstViewF rows, Ridge ridge);

// Orthonormal rows (r x n) that nearly span the top r eigenvectors of H: `rounds` of subspace
// iteration from a fixed random start. 2 n^2 r flops a round, shared by the ranks, and a gather of
// n x r.
absl::StatusOr<linalg::MatrixF> TopEigenvectors(Context& context, linalg::ConstViewF hessian,
                                                std::int64_t count, int rounds);

inline constexpr double kSmallestRidge = 1e-8;

// The lower Cholesky factor of S + t I (zero above the diagonal) with t = ridge * tr S / r for the
// first ridge of `first_ridge`, ten times that ... 1 that works; the identity when S is 0. S: r x r
// symmetric, lower triangle read.
absl::StatusOr<linalg::MatrixD> RidgedCholesky(linalg::ConstViewD s,
                                               double first_ridge = kSmallestRidge);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_DOWNDATE_H_
