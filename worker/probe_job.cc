#include "worker/probe_job.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/decompose/linear_map.h"
#include "numerics/decompose/loss_curve.h"
#include "numerics/dist/row_partition.h"
#include "numerics/llama/calibrate.h"
#include "numerics/llama/sensitivity.h"
#include "worker/matrix_inputs.h"
#include "worker/rank_group.h"
#include "worker/shared_windows.h"

namespace caldera::worker {
namespace {

constexpr double kProbeBits = 2;

class ProbeRun {
 public:
  ProbeRun(TaskContext& context, const model::ModelConfig& config,
           llama::SensitivityProbe sensitivity)
      : context_(context),
        task_(context.lease.task().probe()),
        config_(config),
        sensitivity_(std::move(sensitivity)) {}

  absl::Status Layer(int layer) {
    Note(fmt::format("probing layers {} to {}: layer {} of {}", task_.first_layer(),
                     task_.last_layer() - 1, layer, config_.num_hidden_layers));
    CALDERA_ASSIGN_OR_RETURN(llama::LayerWeights weights,
                             llama::LoadLayerOnRanks(source(), config_, layer, context_.ranks));
    if (layer >= task_.first_layer() && layer < task_.last_layer()) {
      for (int kind = 0; kind < model::kHessianKindCount; ++kind) {
        CALDERA_RETURN_IF_ERROR(Alter(layer, static_cast<model::HessianKind>(kind), weights));
      }
    }
    return sensitivity_.Advance(weights);
  }

  absl::Status Finish() {
    CALDERA_ASSIGN_OR_RETURN(const std::vector<double> divergences, sensitivity_.Finish(source()));
    for (std::size_t i = 0; i < divergences.size(); ++i) probes_[i].set_divergence(divergences[i]);
    if (context_.leader != nullptr) context_.probes = std::move(probes_);
    return absl::OkStatus();
  }

 private:
  const model::TensorSource* source() const {
    return context_.leader == nullptr ? nullptr : context_.leader->inputs.model().tensors.get();
  }

  void Note(const std::string& status) {
    if (context_.leader == nullptr) return;
    context_.leader->keeper.SetStatus(status);
    context_.leader->keeper.Advance();
  }

  // All matrices of the layer with this Hessian, each in a copy of its own.
  absl::Status Alter(int layer, model::HessianKind kind, llama::LayerWeights& weights) {
    const std::vector<Unit> units = UnitsOf(config_, layer, kind);
    const auto hessian = LoadHessian(context_, task_.hessians(), layer, kind);
    if (!hessian.ok()) {
      return base::WithContext(hessian.status(), "Hessian of " + units.front().weight());
    }
    for (const Unit& unit : units) {
      CALDERA_RETURN_IF_ERROR(StopReason(context_));
      const absl::Status status = AlterOne(unit, *hessian, weights);
      if (!status.ok()) return base::WithContext(status, unit.weight());
      Note("probing " + unit.weight());
    }
    return absl::OkStatus();
  }

  absl::Status AlterOne(const Unit& unit, const decompose::PreparedHessian& hessian,
                        llama::LayerWeights& weights) {
    CALDERA_ASSIGN_OR_RETURN(auto options, OptionsOf(context_, unit, kProbeBits));
    options.iterations = 1;
    const dist::RowPartition partition(unit.shape.rows, decompose::RowBlock(unit.shape.rows),
                                       context_.ranks.size(), static_cast<int>(unit.projection));
    const int rank = context_.ranks.rank();
    const linalg::ConstViewF rows = weights[unit.projection].weight.view().Rows(
        partition.FirstRow(rank), partition.RowCount(rank));
    CALDERA_ASSIGN_OR_RETURN(
        const auto result, decompose::Decompose(rows, partition, hessian, options, context_.ranks));
    CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF altered, Decode(unit, result));
    CALDERA_RETURN_IF_ERROR(sensitivity_.Branch(unit.projection, std::move(altered), weights));
    CountFlops(context_, result.local_flops);
    return Record(unit, hessian, options.codebook, result.relative_error);
  }

  // The rounded matrix on every rank.
  absl::StatusOr<linalg::MatrixF> Decode(const Unit& unit,
                                         const decompose::DecomposeResult& result) {
    absl::StatusOr<linalg::MatrixF> dense = linalg::MatrixF(unit.shape.rows, unit.shape.columns);
    if (context_.leader != nullptr) dense = decompose::DecodeMatrix(result.matrix);
    CALDERA_RETURN_IF_ERROR(AgreeOnStatus(dense.status(), context_.ranks));
    const auto count = static_cast<std::size_t>(unit.shape.rows * unit.shape.columns);
    context_.ranks.Broadcast(std::as_writable_bytes(std::span(dense->data(), count)), 0);
    return dense;
  }

  absl::Status Record(const Unit& unit, const decompose::PreparedHessian& hessian,
                      model::CodebookKind codebook, double relative_error) {
    CALDERA_ASSIGN_OR_RETURN(const auto curve, decompose::LossCurve(hessian, codebook));
    v1::MatrixProbe& probe = probes_.emplace_back();
    probe.set_layer(unit.layer);
    probe.set_projection(unit.path());
    probe.set_rows(unit.shape.rows);
    probe.set_columns(unit.shape.columns);
    probe.set_relative_error(relative_error);
    probe.mutable_loss_curve()->Add(curve.begin(), curve.end());
    return absl::OkStatus();
  }

  TaskContext& context_;
  const v1::ProbeTask& task_;
  const model::ModelConfig& config_;
  llama::SensitivityProbe sensitivity_;
  std::vector<v1::MatrixProbe> probes_;
};

// The beginnings of the first windows.
std::vector<llama::Window> Beginnings(std::vector<llama::Window> windows) {
  windows.resize(std::min<std::size_t>(windows.size(), kProbeWindows));
  for (llama::Window& window : windows) {
    window.resize(std::min<std::size_t>(window.size(), kProbeTokens));
  }
  return windows;
}

}  // namespace

absl::Status RunProbe(TaskContext& context) {
  CALDERA_ASSIGN_OR_RETURN(const model::ModelConfig config, ShareConfig(context));
  CALDERA_ASSIGN_OR_RETURN(std::vector<llama::Window> windows, ShareWindows(context, 0, 1));
  const model::TensorSource* source =
      context.leader == nullptr ? nullptr : context.leader->inputs.model().tensors.get();
  CALDERA_ASSIGN_OR_RETURN(auto sensitivity, llama::SensitivityProbe::Start(
                                                 source, config, Beginnings(std::move(windows)),
                                                 InterruptOf(context), context.ranks));
  ProbeRun run(context, config, std::move(sensitivity));
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    CALDERA_RETURN_IF_ERROR(StopReason(context));
    CALDERA_RETURN_IF_ERROR(run.Layer(layer));
  }
  return run.Finish();
}

}  // namespace caldera::worker
