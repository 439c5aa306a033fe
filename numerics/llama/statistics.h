// Means over the tokens of a text, and how far they may lie from what other text would give.
//
// Tokens of one window are no independent draws: they share context and subject, and a standard
// error by token would come out too small. So each window is one draw (a cluster). Neighbouring
// windows of one book still resemble each other: the error speaks for text of this kind, not for
// any text.
#ifndef CALDERA_NUMERICS_LLAMA_STATISTICS_H_
#define CALDERA_NUMERICS_LLAMA_STATISTICS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace caldera::llama {

// What one window contributes: the sum of a quantity over its scored tokens, and their number.
struct ClusterSum {
  double sum = 0;
  std::int64_t count = 0;
};

struct MeanEstimate {
  double mean = 0;
  std::optional<double> standard_error;  // nothing with fewer than two clusters that hold tokens
};

// With N = sum of count_w over the W clusters that hold tokens:
//   mean = (sum of sum_w) / N
//   standard_error = sqrt(W / (W - 1) * sum of (sum_w - mean * count_w)^2) / N
// (Taylor linearisation of a ratio estimator, Cochran, Sampling Techniques, 6.3). With equal counts
// it is the sample standard deviation of the clusters' means over sqrt(W). Precondition: N > 0.
MeanEstimate MeanOfClusters(std::span<const ClusterSum> clusters);

// Nearest rank: the smallest value that `percent` % of all values do not exceed. Preconditions:
// values not empty, none NaN; 1 <= percent <= 100.
double Percentile(std::vector<double> values, int percent);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_STATISTICS_H_
