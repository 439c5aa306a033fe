// Everything that `caldera estimate` and CompressionService.Estimate say of a job, from the headers
// of its model.
#ifndef CALDERA_COMMON_MODEL_ESTIMATE_H_
#define CALDERA_COMMON_MODEL_ESTIMATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/job_estimate.h"
#include "common/model/job_settings.h"
#include "common/model/model_directory.h"
#include "common/model/size_estimate.h"

namespace caldera::model {

struct ProjectionEstimate {
  std::string name;  // "self_attn.q_proj"
  MatrixShape shape;
  double bits_per_weight = 0;
  std::uint64_t bytes = 0;
};

struct Estimate {
  CheckpointSizes sizes;
  JobNeeds needs;
  std::uint64_t peak_memory_bytes = 0;
  std::vector<ProjectionEstimate> projections;  // of one layer, in projection order
};

// Preconditions: settings with defaults; rates and counts > 0. What is wrong with the settings, for
// this model too, is added to `violations`, and then there is no estimate (INVALID_ARGUMENT).
// Errors of ValidateModelTensors and EstimateSizes.
absl::StatusOr<Estimate> EstimateJob(const OpenedModel& model, const JobSettings& settings,
                                     const WorkerSetup& setup, const MachineRates& rates,
                                     std::vector<SettingViolation>& violations);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_ESTIMATE_H_
