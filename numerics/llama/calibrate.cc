#include "numerics/llama/calibrate.h"

#include <algorithm>
#include <cstddef>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "numerics/llama/on_ranks.h"

namespace caldera::llama {
namespace {

using decompose::HessianAccumulator;
using model::HessianKind;

void BroadcastLayer(LayerWeights& weights, dist::Communicator& communicator) {
  Broadcast(weights.attention_norm, communicator);
  Broadcast(weights.mlp_norm, communicator);
  for (Linear& linear : weights.projections) {
    Broadcast(ValuesOf(linear.weight), communicator);
    if (!linear.bias.empty()) Broadcast(linear.bias, communicator);
  }
}

// Windows that each rank takes per round: two per thread of the rank that has most.
std::int64_t WindowsPerRound(dist::Communicator& communicator) {
  double threads = kernels::Threads();
  communicator.AllReduceMax({&threads, 1});
  return 2 * static_cast<std::int64_t>(threads);
}

// One round: windows [first, first + kept.size() of that rank) of each rank's share.
struct Round {
  std::int64_t first = 0;
  std::int64_t per_rank = 0;
};

// Windows of `rank` in this round.
std::int64_t RoundCount(const Round& round, std::int64_t windows, int rank, int ranks) {
  const std::int64_t share = (windows - rank + ranks - 1) / ranks;
  return std::clamp<std::int64_t>(share - round.first, 0, round.per_rank);
}

std::vector<std::byte> Pack(HessianKind kind, std::span<const BlockActivations> kept) {
  std::vector<std::byte> bytes;
  for (const BlockActivations& activations : kept) {
    const linalg::ConstViewF view = activations.Of(kind);
    const auto values = static_cast<std::size_t>(view.rows * view.columns);
    const auto raw = std::as_bytes(std::span(view.data, values));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }
  return bytes;
}

// Adds the gathered activations of one kind (rank after rank, windows of a rank in order) in window
// order.
class GatheredRound {
 public:
  GatheredRound(const CalibrationSet& set, const Round& round, int ranks)
      : tokens_(set.tokens), round_(round), ranks_(ranks) {}

  void AddTo(HessianAccumulator& hessian, const float* values, std::int64_t columns,
             const dist::Interrupt& interrupt) const {
    std::vector<const float*> next = RankStarts(values, columns);
    for (std::int64_t i = 0; i < round_.per_rank && !interrupt.Left(); ++i) {
      for (int rank = 0; rank < ranks_; ++rank) {
        if (i >= Count(rank)) continue;
        const std::int64_t rows = Tokens(rank, i);
        const float*& position = next[static_cast<std::size_t>(rank)];
        hessian.Add({position, rows, columns, columns});
        position += rows * columns;
      }
    }
  }

 private:
  std::int64_t Count(int rank) const {
    return RoundCount(round_, static_cast<std::int64_t>(tokens_.size()), rank, ranks_);
  }
  std::int64_t Tokens(int rank, std::int64_t i) const {
    return tokens_[static_cast<std::size_t>((round_.first + i) * ranks_ + rank)];
  }
  std::vector<const float*> RankStarts(const float* values, std::int64_t columns) const {
    std::vector<const float*> starts;
    for (int rank = 0; rank < ranks_; ++rank) {
      starts.push_back(values);
      for (std::int64_t i = 0; i < Count(rank); ++i) values += Tokens(rank, i) * columns;
    }
    return starts;
  }

  const std::vector<std::int64_t>& tokens_;
  const Round round_;
  const int ranks_;
};

void AddRound(const GatheredRound& gathered, std::span<const BlockActivations> kept,
              const dist::Interrupt& interrupt, dist::Communicator& communicator,
              LayerHessians& hessians) {
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const auto kind = static_cast<HessianKind>(k);
    HessianAccumulator& hessian = hessians.accumulators[static_cast<std::size_t>(k)];
    if (communicator.size() == 1) {
      for (const BlockActivations& activations : kept) {
        if (!interrupt.Left()) hessian.Add(activations.Of(kind));
      }
      continue;
    }
    const std::vector<std::byte> all = communicator.AllGather(Pack(kind, kept));
    gathered.AddTo(hessian, reinterpret_cast<const float*>(all.data()),
                   hessians.sizes[static_cast<std::size_t>(k)], interrupt);
  }
}

}  // namespace

absl::StatusOr<CalibrationSet> EmbedOnRanks(const model::TensorSource* source,
                                            const model::ModelConfig& config,
                                            std::span<const Window> windows,
                                            dist::Communicator& communicator) {
  CalibrationSet set;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const auto tokens = static_cast<std::int64_t>(windows[i].size());
    absl::StatusOr<linalg::MatrixF> hidden = linalg::MatrixF(tokens, config.hidden_size);
    if (communicator.rank() == 0) hidden = EmbedWindow(*source, config, windows[i]);
    const absl::Status status = ShareStatus(hidden.status(), communicator);
    if (!status.ok()) return base::WithContext(status, fmt::format("window {}", i));
    Broadcast(ValuesOf(*hidden), communicator);
    const auto owner = static_cast<int>(i % static_cast<std::size_t>(communicator.size()));
    if (owner == communicator.rank()) set.local.windows.push_back(*std::move(hidden));
    set.tokens.push_back(tokens);
  }
  return set;
}

absl::StatusOr<LayerWeights> LoadLayerOnRanks(const model::TensorSource* source,
                                              const model::ModelConfig& config, int layer,
                                              dist::Communicator& communicator) {
  absl::StatusOr<LayerWeights> weights =
      communicator.rank() == 0 ? LoadLayer(*source, config, layer) : MakeLayer(config);
  CALDERA_RETURN_IF_ERROR(ShareStatus(weights.status(), communicator));
  BroadcastLayer(*weights, communicator);
  return weights;
}

LayerHessians MakeLayerHessians(const model::ModelConfig& config,
                                const dist::Communicator& communicator) {
  LayerHessians hessians;
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const std::int64_t size = model::HessianSize(config, static_cast<HessianKind>(k));
    hessians.sizes.push_back(size);
    hessians.accumulators.emplace_back(size, communicator.rank(), communicator.size());
  }
  return hessians;
}

absl::Status CalibrateLayer(const CalibrationLayer& layer, CalibrationSet& set,
                            dist::Communicator& communicator, LayerHessians& hessians) {
  const auto windows = static_cast<std::int64_t>(set.tokens.size());
  const RopeTable rope = MakeRopeTable(layer.config, set.local.MaxTokens());
  const BlockContext context{layer.config, layer.weights, rope, &layer.interrupt};
  Round round{0, WindowsPerRound(communicator)};
  std::vector<BlockActivations> kept(static_cast<std::size_t>(round.per_rank));
  for (; round.first * communicator.size() < windows; round.first += round.per_rank) {
    const std::int64_t count = RoundCount(round, windows, communicator.rank(), communicator.size());
    const auto batch = std::span(kept).first(static_cast<std::size_t>(count));
    RunBatch(context, set.local, round.first, batch);
    CALDERA_RETURN_IF_ERROR(layer.interrupt.CheckStop());
    AddRound({set, round, communicator.size()}, batch, layer.interrupt, communicator, hessians);
    CALDERA_RETURN_IF_ERROR(layer.interrupt.CheckStop());
  }
  return absl::OkStatus();
}

}  // namespace caldera::llama
