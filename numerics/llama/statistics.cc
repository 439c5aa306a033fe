#include "numerics/llama/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace caldera::llama {

MeanEstimate MeanOfClusters(std::span<const ClusterSum> clusters) {
  double sum = 0;
  std::int64_t tokens = 0;
  std::int64_t draws = 0;
  for (const ClusterSum& cluster : clusters) {
    sum += cluster.sum;
    tokens += cluster.count;
    if (cluster.count > 0) ++draws;
  }
  const auto count = static_cast<double>(tokens);
  MeanEstimate estimate{sum / count, {}};
  if (draws < 2) return estimate;
  double squares = 0;
  for (const ClusterSum& cluster : clusters) {
    const double residual = cluster.sum - estimate.mean * static_cast<double>(cluster.count);
    squares += residual * residual;
  }
  const auto w = static_cast<double>(draws);
  estimate.standard_error = std::sqrt(w / (w - 1) * squares) / count;
  return estimate;
}

double Percentile(std::vector<double> values, int percent) {
  const std::size_t rank = (values.size() * static_cast<std::size_t>(percent) + 99) / 100;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

}  // namespace caldera::llama
