// One layer's shard of the published checkpoint, made from its seven committed matrices and the
// tensors of the layer that are stored as given (norms, biases).
#ifndef CALDERA_COORDINATOR_LAYER_SHARD_H_
#define CALDERA_COORDINATOR_LAYER_SHARD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/model/model_directory.h"
#include "common/store/checkpoint_store.h"

namespace caldera::coordinator {

// What goes into the shard. Borrowed.
struct LayerShardInputs {
  int layer = 0;
  std::vector<v1::MatrixResult> matrices;  // all seven
  const model::OpenedModel* model = nullptr;
  std::string label;  // of the store's staging
};

// Streams the tensors, sorted as SafetensorsWriter sorts, into a new store object; the matrices'
// metadata is merged. The same inputs give the same bytes. Memory: one chunk and the header. Other
// tensors keep their dtype; GGUF block types become BF16.
// Errors: DATA_LOSS when an object is damaged or two metadata entries disagree; RESOURCE_EXHAUSTED
// for a full disk.
absl::StatusOr<store::ObjectInfo> AssembleLayerShard(const LayerShardInputs& inputs,
                                                     store::CheckpointStore* store);

// Whether a committed object is what its MatrixResult says: size, header and tensors of that matrix
// and no others, shape as the model's, bits and rank as the job's, finite error. INVALID_ARGUMENT
// with reason BAD_MATRIX names what is wrong; NOT_FOUND when there is no such object. Reads the
// header only.
struct MatrixExpectation {
  int layer = 0;
  const model::ModelConfig* config = nullptr;
  v1::Decomposition decomposition;
};
absl::Status CheckMatrixObject(const v1::MatrixResult& matrix, const MatrixExpectation& expected,
                               const store::CheckpointStore& store);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_LAYER_SHARD_H_
