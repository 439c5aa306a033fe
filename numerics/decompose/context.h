// What every step of one decomposition carries along. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_CONTEXT_H_
#define CALDERA_NUMERICS_DECOMPOSE_CONTEXT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "numerics/decompose/row_blocks.h"
#include "numerics/decompose/step_clock.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "numerics/dist/row_partition.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// References live as long as the call of Decompose. Used by the owning thread only.
struct Context {
  const dist::RowPartition& partition;
  dist::Communicator& communicator;
  double flops = 0;  // executed by this rank; each step adds its own
  StepSeconds seconds = {};
  const dist::Interrupt* interrupt = nullptr;  // null: nobody interrupts

  std::int64_t block_rows() const { return partition.block_rows(); }
  std::int64_t first_row() const { return partition.FirstRow(communicator.rank()); }
  std::int64_t local_rows() const { return partition.RowCount(communicator.rank()); }
  RowBlocks blocks() const { return {block_rows(), interrupt}; }
  // CANCELLED when all ranks are to stop here. Collective.
  absl::Status CheckStop() const {
    return interrupt == nullptr ? absl::OkStatus() : interrupt->CheckStop();
  }
};

// A B (local rows x k) by the fixed row blocks: the same bits for any number of ranks. Of no use,
// like the next one, when the step was left.
linalg::MatrixF LocalProduct(Context& context, linalg::OperandF a, linalg::OperandF b);

// A B whole on every rank for operands that every rank holds: each rank computes a share of the
// rows (fixed tiles), one gather of rows x columns floats.
linalg::MatrixF SharedProduct(Context& context, linalg::OperandF a, linalg::OperandF b);

// Between precisions.
linalg::MatrixF Narrow(const linalg::MatrixD& wide);
linalg::MatrixD Widen(linalg::ConstViewF narrow);

// A power of two that brings the largest value to [1, 2); 1 for a zero matrix. Scaling by it is
// exact.
float UnitOf(double largest);

// How work on shared memory (numerics/dist/shared_bytes.h) went, on every rank: rank 0's error, or
// else one that says that another rank has one. `own` is OK where there was no work; ranks without
// work sleep meanwhile.
absl::Status AgreeWithRoot(const absl::Status& own, dist::Communicator& communicator);

// A - B, element-wise.
linalg::MatrixF Difference(linalg::ConstViewF a, linalg::ConstViewF b);

// Root mean square of all elements, summed in float64 in row order; 0 when there are none.
double RootMeanSquare(linalg::ConstViewF a);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_CONTEXT_H_
