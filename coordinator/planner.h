// From a request to a plan, before anything is accepted: is everything there that the job will
// need?
//
// Opens the model by headers, tokenises the calibration text whole, asks the disks for space. No
// tensor data is read. Takes seconds for a large text: call it outside locks and off gRPC's
// threads.
#ifndef CALDERA_COORDINATOR_PLANNER_H_
#define CALDERA_COORDINATOR_PLANNER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/base/allowed_roots.h"
#include "common/model/model_directory.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {

struct JobPlan {
  v1::JobSpec spec;  // with defaults
  v1::ModelSummary model;
  std::string calibration_sha256;
  std::int64_t calibration_tokens = 0;  // of the whole text
  WorkEstimate work;
  std::uint64_t store_bytes = 0;   // objects, shards, Hessians: what the store will hold at most
  std::uint64_t output_bytes = 0;  // the published checkpoint
  std::uint64_t matrix_budget_bytes = 0;  // with target_bits
  std::uint64_t worker_memory_bytes = 0;  // of a worker with one rank and one thread
};

// Errors, each naming the culprit: INVALID_ARGUMENT with field violations for a bad spec, rank too
// large, text too short; PERMISSION_DENIED for a URI that leads out of `roots`; NOT_FOUND for
// model, tensor, tokenizer or text; UNIMPLEMENTED for an unknown architecture; ALREADY_EXISTS when
// output_uri holds a manifest; RESOURCE_EXHAUSTED for too little space.
absl::StatusOr<JobPlan> PlanJob(const v1::JobSpec& requested, const store::CheckpointStore& store,
                                const base::AllowedRoots& roots = {});

// The same for a job that has been accepted: without a look at the space, part of which its own
// objects take.
absl::StatusOr<JobPlan> ReplanJob(const v1::JobSpec& requested,
                                  const base::AllowedRoots& roots = {});

// Architecture, layers, parameters (tied ones once), bytes, fingerprint.
v1::ModelSummary Summarize(const model::OpenedModel& model);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_PLANNER_H_
