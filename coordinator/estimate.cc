#include "coordinator/estimate.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/estimate.h"
#include "common/store/open_files.h"
#include "coordinator/planner.h"
#include "coordinator/scheduler.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr double kSecondsPerHour = 3600;
constexpr int kMost = 65536;  // workers, ranks, cores

std::vector<FieldViolation> CheckRates(const v1::MachineRates& rates) {
  std::vector<FieldViolation> violations;
  for (const auto& [field, value] :
       {std::pair{"sgemm_flops", rates.sgemm_flops()}, std::pair{"e8p_2", rates.e8p_2()},
        std::pair{"e8p_3", rates.e8p_3()}, std::pair{"e8p_4", rates.e8p_4()},
        std::pair{"trellis_10", rates.trellis_10()}, std::pair{"trellis_12", rates.trellis_12()}}) {
    if (value > 0 && std::isfinite(value)) continue;
    violations.push_back(
        {std::string("rates.") + field, fmt::format("{} is not a number above 0", value)});
  }
  return violations;
}

void CheckCount(const std::string& field, int value, std::vector<FieldViolation>* violations) {
  if (value >= 0 && value <= kMost) return;
  violations->push_back({"setup." + field, fmt::format("{} is not within 0..{}", value, kMost)});
}

model::MachineRates ToRates(const v1::MachineRates& rates) {
  return {rates.sgemm_flops(), rates.e8p_2(),      rates.e8p_3(),
          rates.e8p_4(),       rates.trellis_10(), rates.trellis_12()};
}

model::WorkerSetup ToSetup(const v1::WorkerSetup& setup, const model::WorkerSetup& usual) {
  return {setup.workers() == 0 ? usual.workers : setup.workers(), std::max(1, setup.ranks()),
          setup.cores() == 0 ? usual.cores : setup.cores()};
}

v1::EstimateResponse ToResponse(const model::Estimate& estimate) {
  v1::EstimateResponse response;
  response.set_bits_per_weight(estimate.sizes.bits_per_weight);
  response.set_model_bits_per_weight(estimate.sizes.model_bits_per_weight);
  response.set_output_bytes(static_cast<std::int64_t>(estimate.sizes.output_bytes));
  response.set_matrix_bytes(static_cast<std::int64_t>(estimate.sizes.matrix_bytes));
  response.set_embedding_bytes(static_cast<std::int64_t>(estimate.sizes.embedding_bytes));
  response.set_peak_memory_bytes(static_cast<std::int64_t>(estimate.peak_memory_bytes));
  response.set_flops(estimate.needs.flops);
  response.set_hours(estimate.needs.seconds / kSecondsPerHour);
  response.set_cpu_hours(estimate.needs.cpu_seconds / kSecondsPerHour);
  for (const model::ProjectionEstimate& projection : estimate.projections) {
    v1::EstimateResponse::Projection& out = *response.add_projections();
    out.set_name(projection.name);
    out.set_rows(projection.shape.rows);
    out.set_columns(projection.shape.columns);
    out.set_bits_per_weight(projection.bits_per_weight);
    out.set_bytes(static_cast<std::int64_t>(projection.bytes));
  }
  return response;
}

absl::Status CheckRequest(const v1::EstimateRequest& request) {
  std::vector<FieldViolation> violations = CheckRates(request.rates());
  CheckCount("workers", request.setup().workers(), &violations);
  CheckCount("ranks", request.setup().ranks(), &violations);
  CheckCount("cores", request.setup().cores(), &violations);
  if (request.spec().model_uri().empty()) violations.push_back({"model_uri", "is required"});
  return ViolationsToStatus(violations);
}

}  // namespace

model::WorkerSetup SetupOf(const ClusterState& state, const LeasePolicy& policy, absl::Time now) {
  model::WorkerSetup setup{0, 1, 0};
  for (const auto& [id, worker] : state.workers) {
    if (!IsAlive(worker, policy, now)) continue;
    const int cores = std::max(1, worker.ranks * worker.threads_per_rank);
    setup.cores = setup.workers == 0 ? cores : std::min(setup.cores, cores);
    ++setup.workers;
  }
  return setup.workers == 0 ? model::WorkerSetup{1, 1, 1} : setup;
}

absl::StatusOr<v1::EstimateResponse> Estimate(const v1::EstimateRequest& request,
                                              const model::WorkerSetup& usual,
                                              const base::AllowedRoots& roots) {
  CALDERA_RETURN_IF_ERROR(CheckRequest(request));
  const v1::JobSpec spec = WithDefaults(request.spec());
  const model::WorkerSetup setup = ToSetup(request.setup(), usual);
  CALDERA_RETURN_IF_ERROR(
      WithReason(base::WithContext(roots.CheckUri(spec.model_uri()), "spec.model_uri"),
                 kReasonPlaceNotAllowed));
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model,
                           store::OpenModel(spec.model_uri(), roots));
  std::vector<model::SettingViolation> found;
  const absl::StatusOr<model::Estimate> estimate =
      model::EstimateJob(model, SettingsOf(spec), setup, ToRates(request.rates()), found);
  std::vector<FieldViolation> violations;
  for (const auto& [field, description] : found) violations.push_back({field, description});
  CALDERA_RETURN_IF_ERROR(ViolationsToStatus(violations));
  CALDERA_RETURN_IF_ERROR(estimate.status());
  v1::EstimateResponse response = ToResponse(*estimate);
  *response.mutable_model() = Summarize(model);
  response.mutable_setup()->set_workers(setup.workers);
  response.mutable_setup()->set_ranks(setup.ranks);
  response.mutable_setup()->set_cores(setup.cores);
  return response;
}

}  // namespace caldera::coordinator
