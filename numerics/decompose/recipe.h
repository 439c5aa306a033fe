// The order of steps: how Q, L and R of one matrix come about (docs/algorithms.md, "Recipes").
// Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_RECIPE_H_
#define CALDERA_NUMERICS_DECOMPOSE_RECIPE_H_

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/compressed_matrix.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/decompose.h"
#include "numerics/decompose/iterate.h"
#include "numerics/decompose/low_rank.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// One matrix in the rotated basis. Views live as long as the call.
struct Problem {
  linalg::ConstViewF weight;              // W~, local rows x n
  Metric metric;                          // damped rotated H and its factor
  const lattice::CodebookFamily& family;  // of the result
  const lattice::CodebookFamily& search;  // of trials: `family` or a faster one
  // Where columns differ its counts of them say only how many bits they have together.
  model::CompressedMatrixHeader header;
  int iterations = 0;                       // 0 = the recipe's own
  std::optional<std::int64_t> signal_rank;  // nothing = the recipe's own
};

// Keeps the best iterate by the reported error.
class BestIterate {
 public:
  // Called on every rank alike.
  using Measure = std::function<absl::StatusOr<double>(const Iterate&)>;
  BestIterate(Measure measure, const Context& context)
      : measure_(std::move(measure)), context_(context) {}

  // Measures an iterate, adds the error to the curve and keeps the iterate if it is better than all
  // before; CANCELLED when a stop was requested.
  absl::Status Offer(Iterate iterate);
  // CANCELLED when a stop was requested.
  absl::Status CheckStop() const { return context_.CheckStop(); }

  const Iterate& iterate() const { return iterate_; }
  const std::vector<double>& curve() const { return curve_; }
  int index() const { return index_; }  // 1-based, 0 before the first Offer
  double error() const { return curve_[static_cast<std::size_t>(index_ - 1)]; }

 private:
  Measure measure_;
  const Context& context_;
  Iterate iterate_;
  std::vector<double> curve_;
  int index_ = 0;
};

// Rank 0: LDLQ, then sweeps (none by default with a trellis). 4-bit factors: the rank split into a
// signal and a correction. Finer factors: alternation against the downdated Hessian. Every iterate
// is offered to `best`; trials of splits are not iterates.
absl::Status RunRecipe(Context& context, const Problem& problem, BestIterate& best);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_RECIPE_H_
