// Coordinate descent on a rounded matrix, for codewords that span 8 rows of one column.
//
// Like LDLQ (ldlq.h) each row block runs by itself: no communication, and results do not depend on
// ranks or threads. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_SWEEP_H_
#define CALDERA_NUMERICS_DECOMPOSE_SWEEP_H_

#include <cstdint>

#include "numerics/decompose/lane_panel.h"
#include "numerics/decompose/ldlq.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// H, or H - B B^T + delta I without forming it.
struct SweptHessian {
  linalg::ConstViewF plain;  // n x n
  linalg::ConstViewF basis;  // B, n x r; empty for plain H
  float delta = 0;
};

// One pass of coordinate descent over the columns, last to first: with D = Q - A, each codeword is
// replaced by the grid point nearest to Q_k - (D H)_k / H_kk where that is nearer than the old one,
// which never raises tr(D H D^T) of the H given. 2 rows n^2 (+ 4 rows n r with a basis) flops.
void Sweep(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
           const RowBlocks& blocks, Rounded& rounded);

// What Sweep costs, for the account of DecomposeResult::local_flops.
double SweepFlops(std::int64_t rows, const SweptHessian& hessian);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_SWEEP_H_
