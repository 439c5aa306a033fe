// Rounding against a Hessian: LDLQ (GPTQ / QuIP feedback), for codewords that span 8 rows of one
// column.
//
// Each row block runs over all columns by itself: no communication and no order between blocks, so
// the result does not depend on ranks or threads. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_
#define CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_

#include <cstdint>
#include <vector>

#include "numerics/decompose/lane_panel.h"
#include "numerics/decompose/row_blocks.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// A rounded matrix: values and the codes they decode from.
struct Rounded {
  linalg::MatrixF decoded;           // rows x n
  std::vector<std::uint32_t> codes;  // [ceil(rows / 8)][n]
};

// Rounds `target` (rows x n) to the grid, from the last column to the first:
//   Q_k = grid(A_k + sum_{j > k} (A_j - Q_j) C(j, k) / C(k, k)),  H = C C^T, `factor` = C, n x n
//   lower,
// which minimises tr((Q - A) H (Q - A)^T) column by column given the columns after it. rows n^2
// flops.
Rounded Ldlq(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
             const RowBlocks& blocks);

// Rounds `target` to the grid without feedback: what Ldlq gives for H = I, at the cost of the
// encoding alone.
Rounded RoundPlain(linalg::ConstViewF target, const RowGrid& grid, const RowBlocks& blocks);

// What Ldlq costs, for the account of DecomposeResult::local_flops.
double LdlqFlops(std::int64_t rows, std::int64_t columns);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LDLQ_H_
