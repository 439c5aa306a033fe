#include "numerics/llama/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/llama/divergence.h"
#include "numerics/llama/head.h"

namespace caldera::llama {
namespace {

// One window in both models; `positions[t]` predicts token t + 1.
struct PairedWindow {
  linalg::ConstViewF reference_hidden;  // after the final norm
  linalg::ConstViewF model_hidden;
  std::vector<DistributionPair> positions;
};

// The same rows of both heads.
struct PairedChunk {
  HeadChunk reference;
  HeadChunk model;
};

// What is kept of all windows.
struct Tally {
  std::vector<ClusterSum> reference_losses;
  std::vector<ClusterSum> model_losses;
  std::vector<ClusterSum> differences;
  std::vector<ClusterSum> divergences;
  std::vector<double> token_divergences;
  std::int64_t agreements = 0;
};

std::vector<DistributionPair> Positions(const Window& window) {
  return std::vector<DistributionPair>(window.begin() + 1, window.end());
}

void AddLogits(const PairedChunk& chunk, PairedWindow& window) {
  const auto tokens = static_cast<std::int64_t>(window.positions.size());
  const std::int64_t ids = chunk.reference.rows.rows();
  linalg::MatrixF reference(std::min(kTokenBlock, tokens), ids);
  linalg::MatrixF model(std::min(kTokenBlock, tokens), ids);
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    const std::int64_t count = std::min(kTokenBlock, tokens - first);
    linalg::Gemm(window.reference_hidden.Rows(first, count),
                 linalg::Transposed(chunk.reference.rows.view()), reference.view().Rows(0, count));
    linalg::Gemm(window.model_hidden.Rows(first, count),
                 linalg::Transposed(chunk.model.rows.view()), model.view().Rows(0, count));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto size = static_cast<std::size_t>(ids);
      window.positions[static_cast<std::size_t>(first + i)].Add(
          {reference.row(i), size}, {model.row(i), size}, chunk.reference.first);
    }
  }
}

absl::StatusOr<PairedChunk> LoadChunks(const ModelView& reference, const ModelView& model,
                                       std::int64_t first) {
  PairedChunk chunk;
  CALDERA_ASSIGN_OR_RETURN(chunk.reference,
                           LoadHeadChunk(reference.tensors, reference.config, first));
  CALDERA_ASSIGN_OR_RETURN(chunk.model, LoadHeadChunk(model.tensors, model.config, first));
  return chunk;
}

absl::Status AddWindow(const PairedWindow& window, Tally& tally) {
  const auto tokens = static_cast<std::int64_t>(window.positions.size());
  ClusterSum reference{0, tokens}, model{0, tokens}, difference{0, tokens}, divergence{0, tokens};
  for (std::size_t t = 0; t < window.positions.size(); ++t) {
    const DistributionPair& position = window.positions[t];
    const double kl = position.Divergence();
    const double gap = position.ModelLoss() - position.ReferenceLoss();
    if (!std::isfinite(kl) || !std::isfinite(gap)) {
      return base::InvalidArgument("window {}, token {}: logits are not finite",
                                   tally.divergences.size(), t);
    }
    reference.sum += position.ReferenceLoss();
    model.sum += position.ModelLoss();
    difference.sum += gap;
    divergence.sum += kl;
    tally.token_divergences.push_back(kl);
    tally.agreements += position.TopAgrees() ? 1 : 0;
  }
  tally.reference_losses.push_back(reference);
  tally.model_losses.push_back(model);
  tally.differences.push_back(difference);
  tally.divergences.push_back(divergence);
  return absl::OkStatus();
}

// Takes some windows through both models.
class Pass {
 public:
  Pass(const ModelView& reference, const ModelView& model, const StepDone& done)
      : reference_(reference), model_(model), done_(done) {}

  absl::Status Run(std::span<const Window> windows, Tally& tally) const {
    CALDERA_ASSIGN_OR_RETURN(const ActivationSet reference,
                             FinalHidden(reference_.tensors, reference_.config, windows, done_));
    CALDERA_ASSIGN_OR_RETURN(const ActivationSet model,
                             FinalHidden(model_.tensors, model_.config, windows, done_));
    std::vector<PairedWindow> paired;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      paired.push_back(
          {reference.windows[i].view(), model.windows[i].view(), Positions(windows[i])});
    }
    CALDERA_RETURN_IF_ERROR(ApplyHeads(paired));
    for (const PairedWindow& window : paired) CALDERA_RETURN_IF_ERROR(AddWindow(window, tally));
    return absl::OkStatus();
  }

 private:
  absl::Status ApplyHeads(std::vector<PairedWindow>& windows) const {
    for (std::int64_t first = 0; first < model_.config.vocab_size; first += kVocabularyChunk) {
      CALDERA_ASSIGN_OR_RETURN(const PairedChunk chunk, LoadChunks(reference_, model_, first));
      kernels::ParallelFor(static_cast<std::int64_t>(windows.size()), [&](std::int64_t i) {
        AddLogits(chunk, windows[static_cast<std::size_t>(i)]);
      });
    }
    return absl::OkStatus();
  }

  const ModelView& reference_;
  const ModelView& model_;
  const StepDone& done_;
};

absl::StatusOr<Comparison> Summarise(Tally tally) {
  Comparison result;
  CALDERA_ASSIGN_OR_RETURN(result.reference, PerplexityOf(tally.reference_losses));
  CALDERA_ASSIGN_OR_RETURN(result.model, PerplexityOf(tally.model_losses));
  result.kl = MeanOfClusters(tally.divergences);
  result.nll_difference = MeanOfClusters(tally.differences);
  result.top1_agreement =
      static_cast<double>(tally.agreements) / static_cast<double>(result.model.tokens);
  result.kl_p99 = Percentile(std::move(tally.token_divergences), 99);
  return result;
}

}  // namespace

absl::Status CheckSameVocabulary(const ModelView& reference, const ModelView& model) {
  if (reference.config.vocab_size != model.config.vocab_size) {
    return base::InvalidArgument("the vocabulary of {} has {} ids, that of {} has {}",
                                 model.tensors.name(), model.config.vocab_size,
                                 reference.tensors.name(), reference.config.vocab_size);
  }
  return absl::OkStatus();
}

absl::StatusOr<Comparison> CompareModels(const ModelView& reference, const ModelView& model,
                                         std::span<const Window> windows,
                                         const PerplexityOptions& options) {
  CALDERA_RETURN_IF_ERROR(CheckSameVocabulary(reference, model));
  const auto token_bytes = (reference.config.hidden_size + model.config.hidden_size) *
                           static_cast<std::int64_t>(sizeof(float));
  const auto passes = Passes(windows, options.activation_bytes / token_bytes);
  const std::int64_t steps = static_cast<std::int64_t>(passes.size()) *
                             (reference.config.num_hidden_layers + model.config.num_hidden_layers);
  std::int64_t done = 0;
  const StepDone step = [&] {
    ++done;
    if (options.progress) options.progress(done, steps);
  };
  const Pass pass(reference, model, step);
  Tally tally;
  for (const std::span<const Window> some : passes) {
    CALDERA_RETURN_IF_ERROR(pass.Run(some, tally));
  }
  return Summarise(std::move(tally));
}

}  // namespace caldera::llama
