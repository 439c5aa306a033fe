#include "numerics/llama/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/llama/head.h"
#include "numerics/llama/on_ranks.h"

namespace caldera::llama {
namespace {

absl::Status CheckWindows(std::span<const Window> windows) {
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const auto tokens = static_cast<std::int64_t>(windows[i].size());
    if (tokens >= 2 && tokens <= kTokenBlock) continue;
    return base::InvalidArgument("window {}: {} tokens are not within 2 and {}", i, tokens,
                                 kTokenBlock);
  }
  return absl::OkStatus();
}

absl::StatusOr<ActivationSet> EmbedOnEveryRank(const model::TensorSource* source,
                                               const model::ModelConfig& config,
                                               std::span<const Window> windows,
                                               dist::Communicator& communicator) {
  absl::StatusOr<ActivationSet> set = ActivationSet();
  if (communicator.rank() == 0) set = Embed(*source, config, windows);
  CALDERA_RETURN_IF_ERROR(ShareStatus(set.status(), communicator));
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (communicator.rank() != 0) {
      set->windows.emplace_back(static_cast<std::int64_t>(windows[i].size()), config.hidden_size);
    }
    Broadcast(ValuesOf(set->windows[i]), communicator);
  }
  return set;
}

// Rows [first, ...) of the head, on every rank.
absl::StatusOr<HeadChunk> HeadChunkOnRanks(const model::TensorSource* source,
                                           const model::ModelConfig& config, std::int64_t first,
                                           dist::Communicator& communicator) {
  absl::StatusOr<HeadChunk> chunk = HeadChunk();
  if (communicator.rank() == 0) chunk = LoadHeadChunk(*source, config, first);
  CALDERA_RETURN_IF_ERROR(ShareStatus(chunk.status(), communicator));
  if (communicator.rank() != 0) {
    const std::int64_t count = std::min(kVocabularyChunk, config.vocab_size - first);
    *chunk = {first, linalg::MatrixF(count, config.hidden_size)};
  }
  Broadcast(ValuesOf(chunk->rows), communicator);
  return chunk;
}

linalg::MatrixF Logits(const linalg::MatrixF& hidden, const HeadChunk& chunk) {
  linalg::MatrixF logits(hidden.rows(), chunk.rows.rows());
  linalg::Gemm(hidden.view(), linalg::Transposed(chunk.rows.view()), logits.view());
  return logits;
}

void AddLogits(const linalg::MatrixF& original, const linalg::MatrixF& copy, std::int64_t first,
               std::vector<DistributionPair>& positions) {
  const auto ids = static_cast<std::size_t>(original.columns());
  for (std::size_t t = 0; t < positions.size(); ++t) {
    const auto row = static_cast<std::int64_t>(t);
    positions[t].Add({original.row(row), ids}, {copy.row(row), ids}, first);
  }
}

void Append(ActivationSet more, ActivationSet& set) {
  set.windows.insert(set.windows.end(), std::make_move_iterator(more.windows.begin()),
                     std::make_move_iterator(more.windows.end()));
}

double MeanDivergence(std::span<const std::vector<DistributionPair>> windows) {
  double sum = 0;
  std::size_t count = 0;
  for (const auto& window : windows) {
    for (const DistributionPair& position : window) sum += position.Divergence();
    count += window.size();
  }
  return sum / static_cast<double>(count);
}

}  // namespace

SensitivityProbe::SensitivityProbe(const model::ModelConfig& config, std::vector<Window> windows,
                                   ActivationSet original, dist::Interrupt interrupt,
                                   dist::Communicator& communicator)
    : config_(&config),
      communicator_(&communicator),
      interrupt_(std::move(interrupt)),
      windows_(std::move(windows)),
      states_(std::move(original)) {}

absl::StatusOr<SensitivityProbe> SensitivityProbe::Start(const model::TensorSource* source,
                                                         const model::ModelConfig& config,
                                                         std::span<const Window> windows,
                                                         dist::Interrupt interrupt,
                                                         dist::Communicator& communicator) {
  CALDERA_RETURN_IF_ERROR(CheckWindows(windows));
  CALDERA_ASSIGN_OR_RETURN(ActivationSet original,
                           EmbedOnEveryRank(source, config, windows, communicator));
  return SensitivityProbe(config, {windows.begin(), windows.end()}, std::move(original),
                          std::move(interrupt), communicator);
}

absl::Status SensitivityProbe::Branch(model::Projection projection, linalg::MatrixF altered,
                                      LayerWeights& weights) {
  const std::size_t owner = copies_++ % static_cast<std::size_t>(communicator_->size());
  if (owner == static_cast<std::size_t>(communicator_->rank())) {
    ActivationSet copy;
    const auto original = states_.windows.begin();
    copy.windows.assign(original, original + static_cast<std::ptrdiff_t>(windows_.size()));
    std::swap(weights[projection].weight, altered);
    RunLayerUnlessLeft(*config_, weights, interrupt_, copy);
    std::swap(weights[projection].weight, altered);
    Append(std::move(copy), branched_);
  }
  return interrupt_.CheckStop();
}

absl::Status SensitivityProbe::Advance(const LayerWeights& weights) {
  RunLayerUnlessLeft(*config_, weights, interrupt_, states_);
  Append(std::exchange(branched_, {}), states_);
  return interrupt_.CheckStop();
}

absl::Status SensitivityProbe::NormaliseOnRanks(const model::TensorSource* source) {
  absl::StatusOr<std::vector<float>> norm =
      std::vector<float>(static_cast<std::size_t>(config_->hidden_size));
  if (communicator_->rank() == 0) norm = LoadFinalNorm(*source, *config_);
  CALDERA_RETURN_IF_ERROR(ShareStatus(norm.status(), *communicator_));
  Broadcast(*norm, *communicator_);
  ApplyFinalNorm(*norm, *config_, states_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> SensitivityProbe::Finish(const model::TensorSource* source) {
  CALDERA_RETURN_IF_ERROR(NormaliseOnRanks(source));
  const std::size_t windows = windows_.size();
  std::vector<PairedWindow> pairs;  // this rank's copies, window by window
  for (std::size_t i = windows; i < states_.windows.size(); ++i) {
    const Window& window = windows_[i % windows];
    pairs.emplace_back(window.begin() + 1, window.end());
  }
  for (std::int64_t first = 0; first < config_->vocab_size; first += kVocabularyChunk) {
    CALDERA_ASSIGN_OR_RETURN(const HeadChunk chunk,
                             HeadChunkOnRanks(source, *config_, first, *communicator_));
    AddChunk(chunk, pairs);
    CALDERA_RETURN_IF_ERROR(interrupt_.CheckStop());
  }
  std::vector<double> divergences(copies_, 0.0);
  for (std::size_t i = 0; i * windows < pairs.size(); ++i) {
    const std::size_t copy = i * static_cast<std::size_t>(communicator_->size()) +
                             static_cast<std::size_t>(communicator_->rank());
    divergences[copy] = MeanDivergence(std::span(pairs).subspan(i * windows, windows));
  }
  communicator_->AllReduceSum(divergences);
  for (std::size_t i = 0; i < divergences.size(); ++i) {
    if (std::isfinite(divergences[i])) continue;
    return base::InvalidArgument("copy {} of the model: logits are not finite", i);
  }
  return divergences;
}

void SensitivityProbe::AddChunk(const HeadChunk& chunk, std::vector<PairedWindow>& pairs) const {
  const std::size_t windows = windows_.size();
  std::vector<linalg::MatrixF> original(windows);
  kernels::ParallelFor(static_cast<std::int64_t>(windows), [&](std::int64_t w) {
    const auto i = static_cast<std::size_t>(w);
    original[i] = Logits(states_.windows[i], chunk);
  });
  kernels::ParallelFor(static_cast<std::int64_t>(pairs.size()), [&](std::int64_t p) {
    if (interrupt_.Left()) return;
    const auto i = static_cast<std::size_t>(p);
    const linalg::MatrixF copy = Logits(states_.windows[windows + i], chunk);
    AddLogits(original[i % windows], copy, chunk.first, pairs[i]);
  });
}

}  // namespace caldera::llama
