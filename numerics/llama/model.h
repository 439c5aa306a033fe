// The forward pass over many windows, layer by layer: memory is one layer plus hidden states.
//
// Each window is one index of a parallel loop and is computed by one thread, so its bits depend
// neither on the number of threads nor on the other windows. Thread rule: one caller at a time.
#ifndef CALDERA_NUMERICS_LLAMA_MODEL_H_
#define CALDERA_NUMERICS_LLAMA_MODEL_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/calibration_text.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/block.h"
#include "numerics/llama/weights.h"

namespace caldera::llama {

// Token ids of one window, positions 0 .. size() - 1; at least one.
using Window = std::vector<std::int32_t>;

// The windows of a cut text, one after another.
std::vector<Window> WindowsOf(const model::TokenWindows& windows);

// Hidden states of a list of windows, tokens x hidden_size each.
struct ActivationSet {
  std::vector<linalg::MatrixF> windows;

  std::int64_t MaxTokens() const;
};

// Hidden states of one window. INVALID_ARGUMENT for an empty window, a token outside the
// vocabulary, or more tokens than max_position_embeddings.
absl::StatusOr<linalg::MatrixF> EmbedWindow(const model::TensorSource& source,
                                            const model::ModelConfig& config, const Window& window);

// Embeds every window; errors of EmbedWindow with the window's index.
absl::StatusOr<ActivationSet> Embed(const model::TensorSource& source,
                                    const model::ModelConfig& config,
                                    std::span<const Window> windows);

// Receives one activation of one window (tokens x HessianSize); called from one thread, windows in
// order, the four kinds in the order of the enum within a window. The view ends with the call.
using Tap = std::function<void(model::HessianKind kind, std::int64_t window,
                               linalg::ConstViewF activation)>;

// Takes every window through one layer, in place. With a tap, windows go in batches of twice the
// number of threads whose activations are kept until the tap has had them.
void RunLayer(const model::ModelConfig& config, const LayerWeights& weights,
              ActivationSet& activations, const Tap& tap = {});
// The same without a tap, unless the interrupt leaves it: then the activations are of no use.
void RunLayerUnlessLeft(const model::ModelConfig& config, const LayerWeights& weights,
                        const dist::Interrupt& interrupt, ActivationSet& activations);

// Part of RunLayer for callers that batch themselves (calibrate.cc): windows [first, first +
// kept.size()) of `activations` in parallel, leaving the inputs of their linear maps in `kept`.
void RunBatch(const BlockContext& context, ActivationSet& activations, std::int64_t first,
              std::span<BlockActivations> kept);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_MODEL_H_
