// Job states made by hand, for tests of the pure core.
#ifndef CALDERA_TESTS_COORDINATOR_JOB_SAMPLES_H_
#define CALDERA_TESTS_COORDINATOR_JOB_SAMPLES_H_

#include <string>

#include "coordinator/job_graph.h"
#include "coordinator/spec.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {

// A pending job of two layers and two calibration ranges; with target_bits where they are not 0.
inline JobState SampleJob(const std::string& id, std::int64_t ordinal, double target_bits = 0) {
  JobState job;
  job.record.id = base::JobId(id);
  job.record.ordinal = ordinal;
  v1::JobSpec spec;
  spec.mutable_calibration()->set_ranges(2);
  spec.mutable_decomposition()->set_target_bits(target_bits);
  *job.record.job.mutable_spec() = WithDefaults(spec);
  job.record.job.set_name(JobName(job.record.id));
  job.record.job.set_state(v1::PENDING);
  job.record.job.mutable_model()->set_layers(2);
  job.tasks = MakeTasks(job.record.id, job.record.job.spec(), 2, {1e9, 5e9, 1e6, 1e8});
  return job;
}

inline void CommitHessians(int layer, int range, JobState* job) {
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    v1::HessianRef hessian;
    hessian.set_layer(layer);
    hessian.set_range(range);
    hessian.set_kind(model::HessianKindName(static_cast<model::HessianKind>(k)));
    job->hessians[{layer, range, hessian.kind()}] = hessian;
  }
}

inline void CommitMatrix(int layer, int projection, double error, JobState* job) {
  const auto kind = static_cast<model::Projection>(projection);
  const model::MatrixShape shape = model::ShapeOf(TinyConfig(), kind);
  MatrixRecord matrix;
  matrix.result.set_projection(model::ProjectionPath(kind));
  matrix.result.set_rows(shape.rows);
  matrix.result.set_columns(shape.columns);
  matrix.result.set_relative_error(error);
  job->matrices[{layer, projection}] = matrix;
}

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_JOB_SAMPLES_H_
