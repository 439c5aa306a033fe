#include "numerics/llama/model.h"

#include <algorithm>
#include <cstddef>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"

namespace caldera::llama {
namespace {

std::int64_t BatchSize(std::int64_t windows) {
  return std::min<std::int64_t>(windows, 2 * kernels::Threads());
}

void FeedTap(const Tap& tap, std::int64_t first, std::span<const BlockActivations> kept) {
  for (std::size_t i = 0; i < kept.size(); ++i) {
    for (int k = 0; k < model::kHessianKindCount; ++k) {
      const auto kind = static_cast<model::HessianKind>(k);
      tap(kind, first + static_cast<std::int64_t>(i), kept[i].Of(kind));
    }
  }
}

}  // namespace

std::vector<Window> WindowsOf(const model::TokenWindows& windows) {
  std::vector<Window> owned;
  for (std::int64_t i = 0; i < windows.count(); ++i) {
    const auto ids = windows.window(i);
    owned.emplace_back(ids.begin(), ids.end());
  }
  return owned;
}

std::int64_t ActivationSet::MaxTokens() const {
  std::int64_t most = 0;
  for (const linalg::MatrixF& window : windows) most = std::max(most, window.rows());
  return most;
}

absl::StatusOr<linalg::MatrixF> EmbedWindow(const model::TensorSource& source,
                                            const model::ModelConfig& config,
                                            const Window& window) {
  if (window.empty()) return base::InvalidArgument("a window without tokens");
  if (config.max_position_embeddings > 0 &&
      static_cast<std::int64_t>(window.size()) > config.max_position_embeddings) {
    return base::InvalidArgument("{} tokens, but {} has max_position_embeddings {}", window.size(),
                                 source.name(), config.max_position_embeddings);
  }
  return EmbedTokens(source, config, window);
}

absl::StatusOr<ActivationSet> Embed(const model::TensorSource& source,
                                    const model::ModelConfig& config,
                                    std::span<const Window> windows) {
  ActivationSet set;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    absl::StatusOr<linalg::MatrixF> hidden = EmbedWindow(source, config, windows[i]);
    if (!hidden.ok()) return base::WithContext(hidden.status(), fmt::format("window {}", i));
    set.windows.push_back(*std::move(hidden));
  }
  return set;
}

void RunBatch(const BlockContext& context, ActivationSet& activations, std::int64_t first,
              std::span<BlockActivations> kept) {
  kernels::ParallelFor(static_cast<std::int64_t>(kept.size()), [&](std::int64_t i) {
    linalg::MatrixF& hidden = activations.windows[static_cast<std::size_t>(first + i)];
    RunBlock(context, hidden.view(), kept[static_cast<std::size_t>(i)]);
  });
}

namespace {

void RunBatches(const BlockContext& context, ActivationSet& activations, const Tap& tap) {
  const auto windows = static_cast<std::int64_t>(activations.windows.size());
  std::vector<BlockActivations> kept(static_cast<std::size_t>(BatchSize(windows)));
  for (std::int64_t first = 0; first < windows && !context.Left(); first += BatchSize(windows)) {
    const std::int64_t count = std::min(BatchSize(windows), windows - first);
    const auto batch = std::span(kept).first(static_cast<std::size_t>(count));
    RunBatch(context, activations, first, batch);
    if (tap) FeedTap(tap, first, batch);
  }
}

}  // namespace

void RunLayer(const model::ModelConfig& config, const LayerWeights& weights,
              ActivationSet& activations, const Tap& tap) {
  const RopeTable rope = MakeRopeTable(config, activations.MaxTokens());
  RunBatches({config, weights, rope}, activations, tap);
}

void RunLayerUnlessLeft(const model::ModelConfig& config, const LayerWeights& weights,
                        const dist::Interrupt& interrupt, ActivationSet& activations) {
  const RopeTable rope = MakeRopeTable(config, activations.MaxTokens());
  RunBatches({config, weights, rope, &interrupt}, activations, {});
}

}  // namespace caldera::llama
