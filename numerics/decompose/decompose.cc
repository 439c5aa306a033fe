#include "numerics/decompose/decompose.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/decompose/incoherence.h"
#include "numerics/decompose/iterate.h"
#include "numerics/decompose/published_recipe.h"
#include "numerics/decompose/recipe.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/blas.h"

namespace caldera::decompose {
namespace {

bool IsFactorBits(base::Bits bits) {
  return bits.value() == 4 || bits.value() == 8 || bits.value() == 16;
}

bool IsSignalRank(std::int64_t signal_rank, std::int64_t rank) {
  return signal_rank >= 0 && signal_rank < rank && signal_rank % 8 == 0;
}

absl::Status CheckArguments(linalg::ConstViewF local, const Context& context, std::int64_t inputs,
                            const DecomposeOptions& options) {
  const std::int64_t m = context.partition.rows();
  if (m == 0 || local.columns != inputs || local.rows != context.local_rows()) {
    return base::InvalidArgument(
        "weight: {} x {} on rank {}, expected {} of {} rows and {} columns", local.rows,
        local.columns, context.communicator.rank(), context.local_rows(), m, inputs);
  }
  if (context.block_rows() != RowBlock(m)) {
    return base::InvalidArgument("weight: rows in blocks of {}, expected {}", context.block_rows(),
                                 RowBlock(m));
  }
  if (options.rank < 0 || (options.rank > 0 && options.rank >= std::min(m, inputs))) {
    return base::InvalidArgument("rank {} is out of range for a {} x {} matrix", options.rank, m,
                                 inputs);
  }
  if (options.rank > 0 && (!IsFactorBits(options.l_bits) || !IsFactorBits(options.r_bits))) {
    return base::InvalidArgument("factor bits are 4, 8 or 16, not {} and {}",
                                 options.l_bits.value(), options.r_bits.value());
  }
  if (options.signal_rank && !IsSignalRank(*options.signal_rank, options.rank)) {
    return base::InvalidArgument("signal rank {}, expected a multiple of 8 below the rank {}",
                                 *options.signal_rank, options.rank);
  }
  if (!(options.q_bits >= 2 && options.q_bits <= 4)) {
    return base::InvalidArgument("{} bits of Q, expected 2 to 4", options.q_bits);
  }
  if (options.recipe == model::RecipeKind::kPublished &&
      (options.codebook != model::CodebookKind::kE8P ||
       options.q_bits != std::floor(options.q_bits))) {
    return base::InvalidArgument("the published recipe needs the codebook e8p and whole q_bits");
  }
  if (options.iterations < 0) {
    return base::InvalidArgument("{} iterations", options.iterations);
  }
  return absl::OkStatus();
}

// The same outcome on every rank: a rank without an error of its own reports that another has one.
absl::Status Agree(Context& context, const absl::Status& own) {
  double failed = own.ok() ? 0 : 1;
  context.communicator.AllReduceMax(std::span(&failed, 1));
  if (own.ok() && failed > 0) return base::InvalidArgument("weight: another rank refused its part");
  return own;
}

// Largest magnitude of one row, or NaN when an element is not finite; `column` is where.
float LargestOfRow(linalg::ConstViewF rows, std::int64_t i, std::int64_t& column) {
  float largest = 0;
  for (column = 0; column < rows.columns; ++column) {
    const float magnitude = std::abs(rows.row(i)[column]);
    if (!std::isfinite(magnitude)) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, magnitude);
  }
  return largest;
}

// max |W| over all ranks, or INVALID_ARGUMENT (the same on all) naming the first element not
// finite.
absl::StatusOr<double> LargestWeight(Context& context, linalg::ConstViewF local) {
  const double nothing = -std::numeric_limits<double>::max();
  std::vector<double> found = {0, nothing};  // largest, minus the index of the first bad element
  for (std::int64_t i = 0; i < local.rows && found[1] == nothing; ++i) {
    std::int64_t column = 0;
    const float largest = LargestOfRow(local, i, column);
    if (std::isnan(largest)) {
      found[1] = -static_cast<double>((context.first_row() + i) * local.columns + column);
    } else {
      found[0] = std::max(found[0], static_cast<double>(largest));
    }
  }
  context.communicator.AllReduceMax(found);
  if (found[1] == nothing) return found[0];
  const auto index = static_cast<std::int64_t>(-found[1]);
  return base::InvalidArgument("weight: row {}, column {} is not finite", index / local.columns,
                               index % local.columns);
}

linalg::MatrixF DividedBy(linalg::ConstViewF rows, float unit) {
  linalg::MatrixF scaled(rows.rows, rows.columns);
  kernels::ParallelFor(rows.rows, [&](std::int64_t i) {
    for (std::int64_t j = 0; j < rows.columns; ++j) scaled.row(i)[j] = rows.row(i)[j] / unit;
  });
  return scaled;
}

model::CompressedMatrixHeader HeaderOf(std::int64_t rows, const PreparedHessian& hessian,
                                       const Rotation& output, const DecomposeOptions& options) {
  model::CompressedMatrixHeader header;
  header.rows = rows;
  header.columns = hessian.size();
  header.rank = options.rank;
  header.codebook = options.codebook;
  if (options.recipe == model::RecipeKind::kPublished) header.axis = model::CodewordAxis::kColumns;
  model::SetQBits(options.q_bits, &header);
  header.l_bits = options.l_bits;
  header.r_bits = options.r_bits;
  header.input_block = hessian.state().input.block;
  header.output_block = output.block;
  return header;
}

linalg::MatrixF Rotated(Context& context, const linalg::MatrixF& rows, const Rotation& input,
                        const Rotation& output) {
  linalg::MatrixF rotated = rows;
  RotateOutputs(rotated.view(), output, context.first_row(), kernels::Direction::kForward);
  RotateInputs(rotated.view(), input, kernels::Direction::kForward);
  return rotated;
}

}  // namespace

std::int64_t RowBlock(std::int64_t m) {
  constexpr std::int64_t kSmallest = 64;
  constexpr std::int64_t kLargest = 512;
  constexpr std::int64_t kBlocks = 8;
  std::int64_t block = std::max(kSmallest, kernels::HadamardBlock(m));
  while (block < kLargest && 2 * block * kBlocks <= m) block *= 2;
  return block;
}

absl::StatusOr<DecomposeResult> Decompose(linalg::ConstViewF local_rows,
                                          const dist::RowPartition& partition,
                                          const PreparedHessian& hessian,
                                          const DecomposeOptions& options,
                                          dist::Communicator& communicator) {
  linalg::PinBlasToOneThread();  // before any parallel loop, where OpenMP would forget it
  Context context{partition, communicator};
  context.interrupt = &options.interrupt;
  const PreparedHessian::State& state = hessian.state();
  CALDERA_RETURN_IF_ERROR(
      Agree(context, CheckArguments(local_rows, context, hessian.size(), options)));
  CALDERA_ASSIGN_OR_RETURN(const lattice::CodebookFamily family,
                           lattice::CodebookFamily::Find(options.codebook));
  CALDERA_ASSIGN_OR_RETURN(const lattice::CodebookFamily e8p,
                           lattice::CodebookFamily::Find(model::CodebookKind::kE8P));
  CALDERA_ASSIGN_OR_RETURN(const double largest, LargestWeight(context, local_rows));
  const float unit = UnitOf(largest);
  const linalg::MatrixF original = DividedBy(local_rows, unit);
  const Rotation output = MakeRotation(partition.rows(), options.output_seed, Side::kOutput);
  const linalg::MatrixF rotated = Rotated(context, original, state.input, output);
  const Problem problem{rotated.view(),
                        {state.rotated.view(), state.factor.view()},
                        family,
                        e8p,
                        HeaderOf(partition.rows(), hessian, output, options),
                        options.iterations,
                        options.signal_rank};
  const Objective::Decoding decoding{family, problem.header, state.input, output};
  Objective objective(context, original.view(), state.given.view());
  BestIterate best(
      [&](const Iterate& iterate) { return objective.RelativeError(iterate, decoding); }, context);
  const absl::Status ran = options.recipe == model::RecipeKind::kPublished
                               ? RunPublishedRecipe(context, problem, best)
                               : RunRecipe(context, problem, best);
  // Before the error: of a step that was left it says nothing.
  CALDERA_RETURN_IF_ERROR(context.CheckStop());
  CALDERA_RETURN_IF_ERROR(ran);
  DecomposeResult result;
  result.matrix = GatherMatrix(context, best.iterate(), decoding, unit);
  result.relative_error = best.error();
  result.error_curve = best.curve();
  result.best_iteration = best.index();
  result.damping = state.damping;
  result.local_flops = context.flops;
  result.step_seconds = context.seconds;
  return result;
}

}  // namespace caldera::decompose
