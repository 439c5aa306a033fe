// Rounding of the low-rank factors to their 4-, 8- and 16-bit grids.
//
// 4 and 8 bits: LDLQ in the metric that the error of the factor is seen through, R H R^T for L and
// H for R; with a mixed basis (random rotation of the rank indices) the noise falls from the
// arithmetic to nearly the geometric mean of the metric's spectrum. 16 bits: plain rounding.
// Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_FACTOR_ROUNDING_H_
#define CALDERA_NUMERICS_DECOMPOSE_FACTOR_ROUNDING_H_

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/low_rank.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// The scales are lattice::ScaleOf times `widening` (of RoundLeft alone), more than 1 for tails
// heavier than those of the normal distribution.
struct FactorGrid {
  base::Bits bits;
  FactorRounding rounding = FactorRounding::kFeedback;  // without effect at 16 bits
  float widening = 1;
};

// `l`: local rows x r; `gram` = R H R^T, r x r. One reduction of blocks x r doubles. m r^2 flops.
absl::StatusOr<Factor> RoundLeft(Context& context, linalg::ConstViewF l, linalg::ConstViewD gram,
                                 const FactorGrid& grid);

// `r`: r x n, the same on every rank, as is the result; each rank rounds a share of the rows.
// r n^2 flops over all ranks at 4 and 8 bits, one gather.
absl::StatusOr<Factor> RoundRight(Context& context, linalg::ConstViewF r, const Metric& metric,
                                  const FactorGrid& grid);

// `r`: r x n, whole, rounded in the metric L^T L = `gram` (r x r) in which || L (R' - R) ||_F sees
// it: block LDLQ over the rank indices, from the last 8 to the first, at every bit width; columns
// are independent. No communication: every rank computes all of it. r^2 n flops.
absl::StatusOr<Factor> RoundRightAgainstLeft(Context& context, linalg::ConstViewF r,
                                             linalg::ConstViewD gram, base::Bits bits,
                                             float widening = 1);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_FACTOR_ROUNDING_H_
