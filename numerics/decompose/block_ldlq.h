// Rounding with codewords of 8 columns of one row, as QuIP# (arXiv 2402.04396) and the published
// CALDERA do it: block LDLQ and unguarded coordinate sweeps. For the yardstick recipe; the default
// one uses ldlq.h. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_BLOCK_LDLQ_H_
#define CALDERA_NUMERICS_DECOMPOSE_BLOCK_LDLQ_H_

#include <cstdint>

#include "numerics/decompose/ldlq.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// All elements are `scale` times a codeword's; scale 0: everything rounds to 0.
struct BlockGrid {
  const lattice::Codebook* codebook = nullptr;  // sequence() 1
  float scale = 0;
};

// Codes are [rows][ceil(n / 8)]; the last block of a row is padded with zeros.
//
// Column blocks of 8 from the last to the first: Q_k = grid(A_k + sum_{j > k} (A_j - Q_j) U(j, k)),
// U = C blockdiag(C)^-1 the block unit lower factor of H = C C^T (`factor` = C, n x n). Row blocks
// run in parallel, each by itself. rows n^2 flops.
Rounded BlockLdlq(linalg::ConstViewF target, linalg::ConstViewF factor, const BlockGrid& grid,
                  const RowBlocks& blocks);

// One pass over the column blocks, last to first: each is replaced by the grid point nearest to
// Q_k - (D H)_k (H_kk)^-1, D = Q - A, whether or not tr(D H D^T) falls. 2 rows n^2 flops. `hessian`
// is n x n.
void BlockSweep(linalg::ConstViewF target, linalg::ConstViewF hessian, const BlockGrid& grid,
                const RowBlocks& blocks, Rounded& rounded);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_BLOCK_LDLQ_H_
