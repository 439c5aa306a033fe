#include "numerics/decompose/loss_curve.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "numerics/decompose/column_bits.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/lattice/codebook.h"

namespace caldera::decompose {

absl::StatusOr<std::vector<double>> LossCurve(const PreparedHessian& hessian,
                                              model::CodebookKind codebook) {
  CALDERA_ASSIGN_OR_RETURN(const auto family, lattice::CodebookFamily::Find(codebook));
  const linalg::ConstViewF factor = hessian.state().factor.view();
  double loss = 0;
  for (std::int64_t j = 0; j < factor.columns; ++j) {
    loss += family.Of(2).gaussian_error() * std::pow(static_cast<double>(factor(j, j)), 2);
  }
  const double at_two_bits = loss;
  const std::vector<ColumnBit> order = ColumnBitsByGain(factor, family);
  std::vector<double> curve = {1.0};
  std::size_t taken = 0;
  for (int i = 1; i <= kLossCurveSteps; ++i) {
    const double wanted = static_cast<double>(order.size()) * i / kLossCurveSteps;
    while (static_cast<double>(taken + 1) <= wanted) loss -= order[taken++].gain;
    const double part = wanted - static_cast<double>(taken);
    const double next = part > 0 ? part * order[taken].gain : 0;
    curve.push_back(std::max(0.0, (loss - next) / at_two_bits));
  }
  return curve;
}

}  // namespace caldera::decompose
