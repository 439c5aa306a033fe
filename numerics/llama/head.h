// What perplexity and comparison share: hidden states before the output head, and the head in
// chunks of the vocabulary, so that no more than a block of logits exists at a time.
#ifndef CALDERA_NUMERICS_LLAMA_HEAD_H_
#define CALDERA_NUMERICS_LLAMA_HEAD_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/model.h"

namespace caldera::llama {

inline constexpr std::int64_t kVocabularyChunk = 4096;
// Tokens per head GEMM: fixed, so that the bits of a row do not depend on the window's neighbours.
inline constexpr std::int64_t kTokenBlock = 256;

// Rows of the head [first, first + rows.rows()): at most kVocabularyChunk.
struct HeadChunk {
  std::int64_t first = 0;
  linalg::MatrixF rows;
};

// The chunk that begins at row `first` < vocab_size; errors of LoadHeadRows.
absl::StatusOr<HeadChunk> LoadHeadChunk(const model::TensorSource& source,
                                        const model::ModelConfig& config, std::int64_t first);

// Normalises every position of every window; `norm` is that of LoadFinalNorm.
void ApplyFinalNorm(std::span<const float> norm, const model::ModelConfig& config,
                    ActivationSet& activations);

// Hidden states after the final norm, tokens x hidden_size for each window: all layers, each loaded
// once; `done` is called after each. Errors of Embed and LoadLayer.
using StepDone = std::function<void()>;
absl::StatusOr<ActivationSet> FinalHidden(const model::TensorSource& source,
                                          const model::ModelConfig& config,
                                          std::span<const Window> windows, const StepDone& done);

// Runs of consecutive windows of at most `token_limit` tokens together (one window at least).
std::vector<std::span<const Window>> Passes(std::span<const Window> windows,
                                            std::int64_t token_limit);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_HEAD_H_
