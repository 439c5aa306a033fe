#include "common/model/estimate.h"

#include "common/base/status.h"
#include "common/model/compressed_matrix.h"

namespace caldera::model {
namespace {

std::vector<ProjectionEstimate> ProjectionsOf(const ModelConfig& config,
                                              const DecompositionSettings& settings) {
  std::vector<ProjectionEstimate> projections;
  for (int p = 0; p < kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    const MatrixShape shape = ShapeOf(config, projection);
    const CompressedMatrixHeader header = HeaderFor(settings, shape);
    projections.push_back(
        {ProjectionPath(projection), shape, BitsPerWeight(header), StoredBytes(header)});
  }
  return projections;
}

}  // namespace

absl::StatusOr<Estimate> EstimateJob(const OpenedModel& model, const JobSettings& settings,
                                     const WorkerSetup& setup, const MachineRates& rates,
                                     std::vector<SettingViolation>& violations) {
  violations = CheckSettings(settings);
  if (!violations.empty()) return base::InvalidArgument("settings are not sound");
  CALDERA_RETURN_IF_ERROR(ValidateModelTensors(model));
  violations = CheckSettingsAgainstModel(settings, model.config);
  if (!violations.empty()) return base::InvalidArgument("settings do not fit the model");
  CALDERA_ASSIGN_OR_RETURN(const JobSettings same, WithSameBits(model, settings));
  Estimate estimate;
  CALDERA_ASSIGN_OR_RETURN(estimate.sizes, EstimateSizes(model, same));
  estimate.needs = EstimateNeeds(model.config, same, setup, rates);
  estimate.peak_memory_bytes = EstimatePeakMemory(model.config, same, setup);
  estimate.projections = ProjectionsOf(model.config, same.decomposition);
  return estimate;
}

}  // namespace caldera::model
