// The tasks of a job and what each waits for; progress; what a lease tells a worker. Pure.
//
//   calibrate-0 .. calibrate-{ranges-1} --(four Hessians per layer and range)--> compress-{layer}
//   with target_bits, between the two: --> probe-0 .. probe-{P-1} --(all: q_bits per matrix)-->
//   embeddings (waits for nothing)                                 all tasks done --> publish
//
// compress-i waits only for layer i's Hessians of every range, not for whole calibrate tasks, and
// with target_bits for all probes: then each compress task has the q_bits of its matrices.
// Publishing is the coordinator's own work (publisher.h).
#ifndef CALDERA_COORDINATOR_JOB_GRAPH_H_
#define CALDERA_COORDINATOR_JOB_GRAPH_H_

#include <optional>
#include <string>
#include <vector>

#include "caldera/v1/compression.pb.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/model/model_config.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Estimated flops of one task of each kind.
struct WorkEstimate {
  double calibrate = 0;  // one range through all layers
  double compress = 0;   // one layer
  double embeddings = 0;
  double probe = 0;  // all probes together, divided by their number
  friend bool operator==(const WorkEstimate&, const WorkEstimate&) = default;
};
// From shapes and spec alone: forward pass 2 flops per weight and token, Hessians n^2 per token;
// about kPasses passes of m n^2 for a matrix. Good for order and progress bars, not a promise.
WorkEstimate EstimateWork(const model::ModelConfig& config, const v1::JobSpec& spec);

// What EstimateWork counts for one m x n matrix of a compress task.
double MatrixWork(std::int64_t rows, std::int64_t columns);
// Flops of the task that nothing durable saves: its committed matrices or Hessians are taken off.
double RemainingWork(const JobState& job, const TaskRecord& task);

// All tasks of a new job, pending, in the order calibrate, embeddings, probe, compress.
std::vector<TaskRecord> MakeTasks(const base::JobId& job, const v1::JobSpec& spec, int layers,
                                  const WorkEstimate& work);

// The layers [first, last) of a probe task; all probes together have every layer once.
struct LayerSpan {
  int first = 0;
  int last = 0;
};
LayerSpan ProbeLayers(const JobState& job, const TaskRecord& probe);

// The probes of all layers in order; nullopt until every probe task is done.
std::optional<std::vector<v1::MatrixProbe>> AllProbes(const JobState& job);

// Whether what the task reads is there.
bool InputsReady(const JobState& job, const TaskRecord& task);
bool AllTasksDone(const JobState& job);

// Bits of Q of one matrix of a compress task: those allotted to it, else the spec's.
double QBitsOf(const v1::JobSpec& spec, const TaskRecord& task, int projection);

// What the worker is told: for compress the Hessians in the order of range then kind, and the
// projections already committed.
v1::Task DescribeTask(const JobState& job, const TaskRecord& task);

// Counts, share of the estimated work done (RemainingWork), mean error, and ETA from the time since
// start; -1 while unknown.
v1::JobProgress ComputeProgress(const JobState& job, absl::Time now);

// The job as users see it: record, progress and last sequence.
v1::CompressionJob DescribeJob(const JobState& job, absl::Time now);
v1::Layer DescribeLayer(const JobState& job, int layer);
// `task`: the layer's compress task.
v1::State LayerState(const JobState& job, const TaskRecord& task);

// Names: compressionJobs/{job}[/layers/{layer}]. ParseJobName: INVALID_ARGUMENT naming the name.
std::string JobName(const base::JobId& job);
absl::StatusOr<base::JobId> ParseJobName(const std::string& name);

// Index of "self_attn.q_proj" in the order of model::Projection; INVALID_ARGUMENT for other text.
absl::StatusOr<int> ProjectionIndex(const std::string& path);

bool HasEnded(v1::State state);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_JOB_GRAPH_H_
