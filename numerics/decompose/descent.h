// The order in which columns are rounded, last to first, with most of the feedback between them
// done as products of large blocks. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_DESCENT_H_
#define CALDERA_NUMERICS_DECOMPOSE_DESCENT_H_

#include <cstddef>
#include <cstdint>

#include "numerics/kernels/panel.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// Columns first .. first + count - 1.
struct Run {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// Halves `all` again and again into runs of at most `width` columns that begin at multiples of
// `width` after all.first, and calls leaf(run) from the last run to the first. For each pair of
// halves: before(left, right), all of the right half, after(left, right), all of the left half.
template <typename Leaf, typename Before, typename After>
void DescendHalves(Run all, std::int64_t width, const Leaf& leaf, const Before& before,
                   const After& after) {
  if (all.count <= 0) return;
  if (all.count <= width) return leaf(all);
  const std::int64_t leaves = (all.count + width - 1) / width;
  const Run left{all.first, leaves / 2 * width};
  const Run right{left.first + left.count, all.count - left.count};
  before(left, right);
  DescendHalves(right, width, leaf, before, after);
  after(left, right);
  DescendHalves(left, width, leaf, before, after);
}

// Visits the columns of a panel from the last to the first; row k of `value` and `step` is the run
// of lanes of column k. Before visit(k), value(k) has got sum_{j > k} coupling(k, j) step(j) added,
// where step(j) is what visit(j) wrote; the two may be the same matrix. Coupling is width x width
// and read above the diagonal only. width^2 * lanes flops.
template <typename Visit>
void DescendPanel(linalg::ConstViewF coupling, linalg::ViewF value, linalg::ViewF step,
                  const Visit& visit) {
  constexpr std::int64_t kNarrow = 16;
  const auto leaf = [&](Run run) {
    const std::int64_t end = run.first + run.count;
    for (std::int64_t k = end - 1; k >= run.first; --k) {
      kernels::AddWeightedRows(coupling.row(k) + k + 1,
                               {step.row(k + 1), static_cast<std::size_t>(end - k - 1),
                                static_cast<std::size_t>(step.stride)},
                               value.row(k), static_cast<std::size_t>(value.columns));
      visit(k);
    }
  };
  const auto after = [&](Run left, Run right) {
    linalg::Gemm(coupling.Block(left.first, right.first, left.count, right.count),
                 step.Rows(right.first, right.count), value.Rows(left.first, left.count),
                 linalg::kAddTo);
  };
  DescendHalves(
      {0, coupling.rows}, kNarrow, leaf, [](Run, Run) {}, after);
}

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_DESCENT_H_
