// What a compression job is asked to do, without places and seeds: defaults, ranges of every field,
// and the form of the matrices that follows from them. The same for the coordinator, which gets
// them in a v1::JobSpec, and for the client, which estimates before it asks. Pure functions.
#ifndef CALDERA_COMMON_MODEL_JOB_SETTINGS_H_
#define CALDERA_COMMON_MODEL_JOB_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/model/compressed_matrix.h"
#include "common/model/model_config.h"

namespace caldera::model {

// Fields as in v1::Decomposition; 0 and "" ask for the default (rank 0 is a value).
struct DecompositionSettings {
  std::string recipe;
  std::string codebook;
  double q_bits = 0;
  std::int32_t rank = 0;
  std::int32_t l_bits = 0;
  std::int32_t r_bits = 0;
  std::int32_t iterations = 0;
  double target_bits = 0;           // instead of q_bits, which is then 0
  std::string target_bits_include;  // "" or kIncludeEmbeddings
};

// target_bits_include: the target counts all tensors and parameters, not the projections alone.
inline constexpr char kIncludeEmbeddings[] = "embeddings";

// Fields as in v1::JobSpec and v1::Calibration.
struct JobSettings {
  std::int32_t samples = 0;
  std::int32_t seq_len = 0;
  std::int32_t ranges = 0;
  DecompositionSettings decomposition;
  std::int32_t embedding_bits = 0;
};

// The settings with defaults in the place of zeros; r_bits follows l_bits when only that is given.
JobSettings WithDefaults(JobSettings settings);

// A field by its path in v1::JobSpec ("decomposition.rank") and what is wrong with it.
struct SettingViolation {
  std::string field;
  std::string description;
};
// What no job can have, of settings that have their defaults. Empty when all is fine.
std::vector<SettingViolation> CheckSettings(const JobSettings& settings);
// Violations that need the model's shapes: rank must be below min(m, n) of every projection.
std::vector<SettingViolation> CheckSettingsAgainstModel(const JobSettings& settings,
                                                        const ModelConfig& config);

// What a matrix of this shape is coded like (the codebook and the transform blocks, which have no
// part in its size, are left out). Precondition: settings with defaults, CheckSettings is empty,
// and q_bits is not 0 (with a target the caller chooses it).
CompressedMatrixHeader HeaderFor(const DecompositionSettings& settings, const MatrixShape& shape);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_JOB_SETTINGS_H_
