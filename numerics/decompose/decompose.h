// W -> Q + L R: the entry point of the decomposition (CALDERA, arXiv 2405.18886, with the
// simplifications of docs/algorithms.md).
//
// Each rank holds the rows that RowPartition(m, RowBlock(m), ranks, first_extra) gives it, in the
// original basis; H is whole on every rank. The result is the same bits for any number of ranks and
// threads.
#ifndef CALDERA_NUMERICS_DECOMPOSE_DECOMPOSE_H_
#define CALDERA_NUMERICS_DECOMPOSE_DECOMPOSE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "common/model/compressed_matrix.h"
#include "common/model/recipe.h"
#include "numerics/decompose/hessian.h"
#include "numerics/decompose/step_clock.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "numerics/dist/row_partition.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

struct DecomposeOptions {
  model::RecipeKind recipe = model::RecipeKind::kDefault;
  model::CodebookKind codebook = model::CodebookKind::kE8P;
  // 2 .. 4. A whole number is the bits of every column of Q; between, columns have 2, 3 or 4 bits
  // and this many on average (model::ExtraColumnBits).
  double q_bits = 2;
  std::int64_t rank = 64;  // 0 <= rank < min(m, n)
  base::Bits l_bits{4};    // 4, 8, 16
  base::Bits r_bits{4};
  int iterations = 0;             // outer iterations; 0 = the recipe's default for these bits
  std::uint64_t output_seed = 0;  // signs of the output transform (one per matrix)
  // Of the default recipe beside 4-bit factors: the rank of the signal, a multiple of 8 and less
  // than `rank`. Nothing = the better of two.
  std::optional<std::int64_t> signal_rank;
  dist::Interrupt interrupt;  // ends with CANCELLED
};

struct DecomposeResult {
  // Whole on rank 0, empty elsewhere.
  model::CompressedMatrix matrix;
  // sqrt(tr(D H D^T) / tr(W H W^T)) of the decoded codes in the original basis with H as given,
  // float64 sums; on every rank.
  double relative_error = 0;
  std::vector<double> error_curve;  // the same after each outer iteration
  int best_iteration = 0;           // 1-based index into error_curve of the iterate returned
  double damping = 0;               // relative damping that the factorisation needed
  double local_flops = 0;           // executed by this rank (multiply and add count 2)
  StepSeconds step_seconds = {};    // of this rank
};

// Rows per block that a matrix of m outputs is partitioned by: a multiple of its output Hadamard
// block.
std::int64_t RowBlock(std::int64_t m);

// Decomposes the m x n matrix whose rows partition.FirstRow(rank) ... are `local_rows` (this rank's
// only). INVALID_ARGUMENT: rank out of range, NaN or infinity in W (names row and column) or H,
// sizes that do not fit; FAILED_PRECONDITION: H not positive semidefinite within the damping
// ladder; CANCELLED: interrupted. Errors are the same on every rank. Collectives: per outer
// iteration O(inner iterations) reductions of r x n doubles, r x r and scalars; one gather of codes
// at the end.
absl::StatusOr<DecomposeResult> Decompose(linalg::ConstViewF local_rows,
                                          const dist::RowPartition& partition,
                                          const PreparedHessian& hessian,
                                          const DecomposeOptions& options,
                                          dist::Communicator& communicator);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_DECOMPOSE_H_
