#include "numerics/llama/divergence.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace caldera::llama {

double DistributionPair::Side::Raise(std::span<const float> logits, std::int64_t first) {
  const auto top = std::max_element(logits.begin(), logits.end());
  if (!(*top > largest)) return 1;
  const double factor = std::exp(largest - *top);
  largest = *top;
  top_id = first + (top - logits.begin());
  return factor;
}

double DistributionPair::Side::LogSum() const { return largest + std::log(sum); }

void DistributionPair::Add(std::span<const float> reference, std::span<const float> model,
                           std::int64_t first) {
  const double shrink = reference_.Raise(reference, first);
  double weighted_difference = weighted_difference_ * shrink;
  double reference_sum = reference_.sum * shrink;
  double model_sum = model_.sum * model_.Raise(model, first);
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double a = reference[i];
    const double b = model[i];
    const double weight = std::exp(a - reference_.largest);
    reference_sum += weight;
    weighted_difference += weight * (a - b);
    model_sum += std::exp(b - model_.largest);
  }
  weighted_difference_ = weighted_difference;
  reference_.sum = reference_sum;
  model_.sum = model_sum;
  const std::int64_t place = target_ - first;
  if (place >= 0 && place < static_cast<std::int64_t>(reference.size())) {
    reference_.target_logit = reference[static_cast<std::size_t>(place)];
    model_.target_logit = model[static_cast<std::size_t>(place)];
  }
}

double DistributionPair::Divergence() const {
  const double divergence =
      weighted_difference_ / reference_.sum - (reference_.LogSum() - model_.LogSum());
  // Rounding may leave a difference of equal terms below 0. A NaN stays one in this order.
  return std::max(divergence, 0.0);
}

}  // namespace caldera::llama
