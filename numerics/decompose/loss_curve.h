// How the error of a matrix falls with the bits of Q, before any of it is rounded.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LOSS_CURVE_H_
#define CALDERA_NUMERICS_DECOMPOSE_LOSS_CURVE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "common/model/compressed_matrix.h"
#include "numerics/decompose/hessian.h"

namespace caldera::decompose {

// Intervals of the curve between 2 and 4 bits.
inline constexpr int kLossCurveSteps = 32;

// Entry i is the squared error predicted at 2 + i / 16 bits per column over that at 2 bits:
// sum_j C(j, j)^2 e(bits_j), with H = C C^T as prepared, e the Gaussian error of the code and the
// bits of ChooseColumnBits (column_bits.h), linear between two columns. kLossCurveSteps + 1 values:
// 1 first, falling, convex. The same for every matrix with this H, whatever its rows. UNIMPLEMENTED
// for an unknown codebook. O(n log n).
absl::StatusOr<std::vector<double>> LossCurve(const PreparedHessian& hessian,
                                              model::CodebookKind codebook);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LOSS_CURVE_H_
