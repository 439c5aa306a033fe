// What a job will store, from the headers of its model and its settings: no tensor data is read.
#ifndef CALDERA_COMMON_MODEL_SIZE_ESTIMATE_H_
#define CALDERA_COMMON_MODEL_SIZE_ESTIMATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "common/model/job_settings.h"
#include "common/model/model_config.h"
#include "common/model/model_directory.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

// Parameters of the architecture, tied ones once.
std::int64_t ParameterCount(const ModelConfig& config);
// Weights of the projections of all layers: what is compressed.
std::int64_t ProjectionWeights(const ModelConfig& config);

// Bytes of the tensors of all compressed projections, exactly.
std::uint64_t MatrixBytes(const ModelConfig& config, const DecompositionSettings& settings);

// Bytes that target_bits leave for all compressed projections: those of the target, less, where it
// counts embeddings, what all other tensors take (0 when they take more). Precondition: target_bits
// > 0, else as EstimateSizes.
absl::StatusOr<std::uint64_t> MatrixBudget(const OpenedModel& model, const JobSettings& settings);
// The settings with the same q_bits for all matrices in the place of a target: the most sixteenths
// of a bit with which they stay within MatrixBudget, and 2 at least. For estimates; a job gives
// each matrix its own. Settings without a target are left as they are.
absl::StatusOr<JobSettings> WithSameBits(const OpenedModel& model, JobSettings settings);

// Bytes of the tensors outside the layers (tables and final norm), exactly: tables as
// docs/formats/checkpoint.md has them at `bits`, the norm in the dtype it has in `source`.
std::uint64_t NonLayerBytes(const TensorSource& source, const ModelConfig& config, base::Bits bits);

// Partial Hessians of a job in the store.
std::uint64_t HessianBytes(const ModelConfig& config, int ranges);

struct CheckpointSizes {
  std::uint64_t matrix_bytes = 0;     // as MatrixBytes
  std::uint64_t embedding_bytes = 0;  // as NonLayerBytes
  std::uint64_t tensor_bytes = 0;     // of the whole checkpoint, exactly
  // Of all files that a manifest lists; headers and configuration are right to about .1 %.
  std::uint64_t output_bytes = 0;
  double bits_per_weight = 0;        // 8 * matrix_bytes / compressed weights
  double model_bits_per_weight = 0;  // 8 * tensor_bytes / parameters
};

// Preconditions: ValidateModelTensors is OK, settings have their defaults and are free of
// violations. Errors: those of making tokenizer files from a GGUF.
absl::StatusOr<CheckpointSizes> EstimateSizes(const OpenedModel& model,
                                              const JobSettings& settings);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_SIZE_ESTIMATE_H_
