#include "numerics/llama/head.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/base/status.h"
#include "numerics/kernels/transformer.h"

namespace caldera::llama {
void ApplyFinalNorm(std::span<const float> norm, const model::ModelConfig& config,
                    ActivationSet& activations) {
  const auto epsilon = static_cast<float>(config.rms_norm_eps);
  for (linalg::MatrixF& hidden : activations.windows) {
    for (std::int64_t i = 0; i < hidden.rows(); ++i) {
      kernels::RmsNorm(hidden.row(i), norm.data(), norm.size(), epsilon, hidden.row(i));
    }
  }
}

absl::StatusOr<HeadChunk> LoadHeadChunk(const model::TensorSource& source,
                                        const model::ModelConfig& config, std::int64_t first) {
  const std::int64_t count = std::min(kVocabularyChunk, config.vocab_size - first);
  CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF rows, LoadHeadRows(source, config, first, count));
  return HeadChunk{first, std::move(rows)};
}

absl::StatusOr<ActivationSet> FinalHidden(const model::TensorSource& source,
                                          const model::ModelConfig& config,
                                          std::span<const Window> windows, const StepDone& done) {
  CALDERA_ASSIGN_OR_RETURN(ActivationSet activations, Embed(source, config, windows));
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    CALDERA_ASSIGN_OR_RETURN(const LayerWeights weights, LoadLayer(source, config, layer));
    RunLayer(config, weights, activations);
    done();
  }
  CALDERA_ASSIGN_OR_RETURN(const std::vector<float> norm, LoadFinalNorm(source, config));
  ApplyFinalNorm(norm, config, activations);
  return activations;
}

std::vector<std::span<const Window>> Passes(std::span<const Window> windows,
                                            std::int64_t token_limit) {
  std::vector<std::span<const Window>> passes;
  std::size_t first = 0;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const auto size = static_cast<std::int64_t>(windows[i].size());
    if (i > first && tokens + size > token_limit) {
      passes.push_back(windows.subspan(first, i - first));
      first = i;
      tokens = 0;
    }
    tokens += size;
  }
  if (first < windows.size()) passes.push_back(windows.subspan(first));
  return passes;
}

}  // namespace caldera::llama
