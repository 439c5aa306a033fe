// Rounding against a Hessian: LDLQ (GPTQ / QuIP feedback) and coordinate sweeps, for codewords that
// span 8 rows of one column.
//
// Each row block runs over all columns by itself: no communication and no order between blocks, so
// the result does not depend on ranks or threads. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_
#define CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_

#include <cstdint>
#include <vector>

#include "numerics/decompose/lane_panel.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// A rounded matrix: values and the codes they decode from.
struct Rounded {
  linalg::MatrixF decoded;           // rows x n
  std::vector<std::uint32_t> codes;  // [ceil(rows / 8)][n]
};

// H, or H - B B^T + delta I without forming it.
struct SweptHessian {
  linalg::ConstViewF plain;  // n x n
  linalg::ConstViewF basis;  // B, n x r; empty for plain H
  float delta = 0;
};

// Rounds `target` (rows x n) to the grid, from the last column to the first:
//   Q_k = grid(A_k + sum_{j > k} (A_j - Q_j) C(j, k) / C(k, k)),  H = C C^T, `factor` = C, n x n
//   lower,
// which minimises tr((Q - A) H (Q - A)^T) column by column given the columns after it. rows n^2
// flops.
Rounded Ldlq(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
             std::int64_t block_rows);

// Rounds `target` to the grid without feedback: what Ldlq gives for H = I, at the cost of the
// encoding alone.
Rounded RoundPlain(linalg::ConstViewF target, const RowGrid& grid, std::int64_t block_rows);

// One pass of coordinate descent over the columns, last to first: with D = Q - A, each codeword is
// replaced by the grid point nearest to Q_k - (D H)_k / H_kk where that is nearer than the old one,
// which never raises tr(D H D^T) of the H given. 2 rows n^2 (+ 4 rows n r with a basis) flops.
void Sweep(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
           std::int64_t block_rows, Rounded& rounded);

// What the two cost, for the account of DecomposeResult::local_flops.
double LdlqFlops(std::int64_t rows, std::int64_t columns);
double SweepFlops(std::int64_t rows, const SweptHessian& hessian);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_
