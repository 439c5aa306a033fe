// What a model says of a text: perplexity over many windows, logits and log-probabilities of one.
//
// The head is applied in chunks of the vocabulary; log-sum-exp and all sums over tokens are float64
// in a fixed order, so results do not depend on threads, chunking of windows or memory limits.
#ifndef CALDERA_NUMERICS_LLAMA_PERPLEXITY_H_
#define CALDERA_NUMERICS_LLAMA_PERPLEXITY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/model.h"
#include "numerics/llama/statistics.h"

namespace caldera::llama {

// `nll` is the mean negative log-likelihood in nats over `tokens` scored tokens (all but the first
// of each window); perplexity = exp(nll). Standard errors take each of `windows` windows that hold
// scored tokens as one draw (MeanOfClusters) and are absent below two; that of the perplexity is
// perplexity * nll_standard_error, the first term of its Taylor series.
struct Perplexity {
  std::int64_t tokens = 0;
  std::int64_t windows = 0;
  double nll = 0;
  double perplexity = 0;
  std::optional<double> nll_standard_error;
  std::optional<double> perplexity_standard_error;
};

// From the summed loss of each window. INVALID_ARGUMENT when no token was scored.
absl::StatusOr<Perplexity> PerplexityOf(std::span<const ClusterSum> losses);

struct PerplexityOptions {
  // Hidden states held at once; more windows than fit go in several passes over the layers.
  std::int64_t activation_bytes = std::int64_t{2} << 30;
  // Called after each layer of each pass with steps done and in all. May be empty.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
};

// INVALID_ARGUMENT when no token would be scored; else errors of Embed and LoadLayer.
absl::StatusOr<Perplexity> EvaluatePerplexity(const model::TensorSource& source,
                                              const model::ModelConfig& config,
                                              std::span<const Window> windows,
                                              const PerplexityOptions& options = {});

// log p(token t | tokens before it) for t = 1 .. size - 1 of each window (size - 1 values per
// window).
absl::StatusOr<std::vector<std::vector<double>>> TokenLogProbabilities(
    const model::TensorSource& source, const model::ModelConfig& config,
    std::span<const Window> windows);

// All logits of one window, tokens x vocab_size.
absl::StatusOr<linalg::MatrixF> Logits(const model::TensorSource& source,
                                       const model::ModelConfig& config, const Window& window);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_PERPLEXITY_H_
