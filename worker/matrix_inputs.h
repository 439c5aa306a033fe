// What a task needs to round one matrix: its place in the model, its Hessian, its options.
//
// All functions with a context are collective over its ranks.
#ifndef CALDERA_WORKER_MATRIX_INPUTS_H_
#define CALDERA_WORKER_MATRIX_INPUTS_H_

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/model/model_config.h"
#include "numerics/decompose/decompose.h"
#include "worker/task_context.h"

namespace caldera::worker {

// One matrix of the model.
struct Unit {
  int layer = 0;
  model::Projection projection = model::Projection::kQ;
  model::MatrixShape shape;

  std::string path() const { return model::ProjectionPath(projection); }
  std::string weight() const { return model::WeightName(layer, projection); }
};

// The layer's matrices that take Hessian `kind`, in projection order.
std::vector<Unit> UnitsOf(const model::ModelConfig& config, int layer, model::HessianKind kind);

// The mean Hessian of `kind` in `layer`, prepared, on every rank. Rank 0 reads the partial ones
// among `refs` and adds them in range order. Errors name the object or the first matrix that needs
// it.
absl::StatusOr<decompose::PreparedHessian> LoadHessian(
    TaskContext& context, const google::protobuf::RepeatedPtrField<v1::HessianRef>& refs, int layer,
    model::HessianKind kind);

// Rank 0, after it has read all rows of the matrix: DATA_LOSS when they are not what the
// calibration of `refs` read. Not collective.
absl::Status CheckUnchanged(const JobInputs& inputs, const Unit& unit,
                            const google::protobuf::RepeatedPtrField<v1::HessianRef>& refs);

// The spec's options for this matrix, with q_bits in the place of the spec's where that is not 0.
absl::StatusOr<decompose::DecomposeOptions> OptionsOf(TaskContext& context, const Unit& unit,
                                                      double q_bits);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_MATRIX_INPUTS_H_
