#include "worker/calibrate_job.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/llama/calibrate.h"
#include "worker/hessian_object.h"
#include "worker/rank_group.h"
#include "worker/shared_windows.h"

namespace caldera::worker {
namespace {

// Puts the ranks' tiles together on every rank: exact, because each value is zero on all ranks but
// one.
void SumTiles(std::vector<float>& values, dist::Communicator& ranks) {
  if (ranks.size() == 1) return;
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::vector<double> piece;
  for (std::size_t first = 0; first < values.size(); first += kPiece) {
    const std::size_t count = std::min(kPiece, values.size() - first);
    piece.assign(values.begin() + static_cast<std::ptrdiff_t>(first),
                 values.begin() + static_cast<std::ptrdiff_t>(first + count));
    ranks.AllReduceSum(piece);
    for (std::size_t i = 0; i < count; ++i) values[first + i] = static_cast<float>(piece[i]);
  }
}

// Store: one layer's partial Hessians as objects, then their commit.
absl::Status CommitLayer(TaskContext& context, int layer,
                         const std::vector<decompose::HessianSum>& sums) {
  v1::CommitHessiansRequest request;
  request.set_lease_id(context.lease.lease_id());
  request.set_attempt(context.lease.attempt());
  request.set_tokens(sums.front().tokens);
  for (int kind = 0; kind < model::kHessianKindCount; ++kind) {
    CALDERA_ASSIGN_OR_RETURN(const auto bytes, EncodeHessian(sums[static_cast<std::size_t>(kind)]));
    v1::HessianRef& ref = *request.add_hessians();
    ref.set_layer(layer);
    ref.set_range(context.lease.task().calibrate().range());
    ref.set_kind(model::HessianKindName(static_cast<model::HessianKind>(kind)));
    CALDERA_ASSIGN_OR_RETURN(*ref.mutable_object(), context.leader->objects.Write(bytes));
  }
  CALDERA_RETURN_IF_ERROR(context.leader->client.CommitHessians(request));
  context.leader->keeper.Advance();
  return absl::OkStatus();
}

// Load -> Compute -> Store of one layer; `set` moves on to the next layer's inputs.
absl::Status CalibrateOne(TaskContext& context, const model::ModelConfig& config, int layer,
                          llama::CalibrationSet& set) {
  const model::TensorSource* source =
      context.leader == nullptr ? nullptr : context.leader->inputs.model().tensors.get();
  if (context.leader != nullptr) {
    context.leader->keeper.SetStatus(
        fmt::format("calibrating layer {} of {}", layer, config.num_hidden_layers));
  }
  CALDERA_ASSIGN_OR_RETURN(const auto weights,
                           llama::LoadLayerOnRanks(source, config, layer, context.ranks));
  llama::LayerHessians hessians = llama::MakeLayerHessians(config, context.ranks);
  const llama::CalibrationLayer run{config, weights, InterruptOf(context)};
  CALDERA_RETURN_IF_ERROR(llama::CalibrateLayer(run, set, context.ranks, hessians));
  std::vector<decompose::HessianSum> sums;
  for (auto& accumulator : hessians.accumulators) {
    sums.push_back(std::move(accumulator).Take());
    SumTiles(sums.back().packed_lower, context.ranks);
  }
  const absl::Status stored =
      context.leader == nullptr ? absl::OkStatus() : CommitLayer(context, layer, sums);
  return AgreeOnStatus(stored, context.ranks);
}

}  // namespace

absl::Status RunCalibrate(TaskContext& context) {
  CALDERA_ASSIGN_OR_RETURN(const model::ModelConfig config, ShareConfig(context));
  const v1::CalibrateTask& task = context.lease.task().calibrate();
  CALDERA_ASSIGN_OR_RETURN(const std::vector<llama::Window> windows,
                           ShareWindows(context, task.range(), task.ranges()));
  const model::TensorSource* source =
      context.leader == nullptr ? nullptr : context.leader->inputs.model().tensors.get();
  CALDERA_ASSIGN_OR_RETURN(llama::CalibrationSet set,
                           llama::EmbedOnRanks(source, config, windows, context.ranks));
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (absl::Status stop = StopReason(context); !stop.ok()) return stop;
    CALDERA_RETURN_IF_ERROR(CalibrateOne(context, config, layer, set));
  }
  return absl::OkStatus();
}

}  // namespace caldera::worker
