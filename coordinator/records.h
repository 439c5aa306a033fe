// The values the coordinator thinks in: what one row of its state says of a job, task, matrix,
// worker.
//
// Plain values without behaviour; rules live in leases.h, job_graph.h and scheduler.h, bytes in
// state_store.h. Messages of the public API (JobSpec, MatrixResult, JobEvent) are used as they are.
// Times are absl::Time with millisecond precision (what the state store keeps).
#ifndef CALDERA_COORDINATOR_RECORDS_H_
#define CALDERA_COORDINATOR_RECORDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "caldera/v1/compression.pb.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/base/types.h"

namespace caldera::coordinator {

// A compression request and where it stands.
struct JobRecord {
  base::JobId id;
  std::int64_t ordinal = 0;         // creation order, unique
  std::string request_id;           // "" when the client gave none
  std::string request_fingerprint;  // of the request that made it: same id, other request = error
  std::string calibration_sha256;   // of the text's bytes
  std::int64_t calibration_tokens = 0;  // of the whole text
  std::int64_t last_sequence = 0;       // of its events
  // name, spec, state, times, error, result, priority, model. Progress is computed (job_graph.h).
  v1::CompressionJob job;
};

enum class TaskKind { kCalibrate, kCompress, kEmbeddings, kProbe };
// "calibrate", "compress", "embeddings", "probe".
std::string TaskKindName(TaskKind kind);

// kPending: waits for inputs, for its backoff or for a worker. kLeased: a worker computes it.
// kLapsed: the lease ran out, but nobody else has it yet: its holder may still come back.
enum class TaskState { kPending, kLeased, kLapsed, kDone };

// What every write about a lease carries; attempt counts the leases ever given for the task.
struct Fence {
  base::LeaseId lease;
  int attempt = 0;
  friend bool operator==(const Fence&, const Fence&) = default;
};

// A second lease of a task that runs late (leases.h): the fields of TaskRecord of the same names.
struct RivalLease {
  Fence fence;
  base::WorkerId worker;
  std::string incarnation;
  absl::Time granted = absl::InfinitePast();
  absl::Time deadline = absl::InfinitePast();
  std::int64_t progress = 0;
  absl::Time progress_time = absl::InfinitePast();
  std::string status;
};

// One unit of work of a job and its current or last lease.
struct TaskRecord {
  base::JobId job;
  std::string id;  // "calibrate-0", "probe-1", "compress-12", "embeddings"
  TaskKind kind = TaskKind::kCalibrate;
  int index = 0;    // range or layer; number of the probe; 0 for embeddings
  double work = 0;  // estimated flops
  TaskState state = TaskState::kPending;
  // Failed attempts since something of the task last became durable, in all and by worker id.
  int failures = 0;
  std::map<std::string, int> failures_of_worker;
  std::string last_error;
  absl::Time not_before = absl::InfinitePast();  // backoff
  int attempts = 0;                              // leases ever given
  // The current or last lease.
  Fence fence;
  base::WorkerId worker;
  std::string incarnation;
  absl::Time granted = absl::InfinitePast();
  absl::Time deadline = absl::InfinitePast();
  // What the holder last said; kept in memory only.
  std::int64_t progress = 0;
  absl::Time progress_time = absl::InfinitePast();
  std::string status;
  // Another live lease beside it: only while kLeased. Which of the two is which has no meaning.
  std::optional<RivalLease> rival;
  // Of a finished task: layer or embeddings shard, time, flops per rank.
  v1::ObjectRef shard;
  double seconds = 0;
  std::vector<double> rank_flops;
  std::vector<v1::MatrixProbe> probes;  // of a finished probe task
  // Of a compress task: q_bits of its seven matrices; empty: that of the spec, or not allotted yet.
  std::vector<double> q_bits;
};

// A worker and its newest incarnation.
struct WorkerRecord {
  base::WorkerId id;
  std::string incarnation;
  std::string version;
  int ranks = 1;
  int threads_per_rank = 1;
  std::int64_t memory_bytes = 0;
  std::string host;
  absl::Time last_seen = absl::InfinitePast();  // memory only
  bool gone = false;                            // it unregistered; memory only
};

// (layer, projection in the order q, k, v, o, gate, up, down).
using MatrixKey = std::pair<int, int>;
// (layer, range, kind name).
using HessianKey = std::tuple<int, int, std::string>;

// A committed matrix and who made it.
struct MatrixRecord {
  v1::MatrixResult result;
  int attempt = 0;
  base::WorkerId worker;
};

// A job with everything below it. Tasks in graph order (job_graph.h).
struct JobState {
  JobRecord record;
  std::vector<TaskRecord> tasks;
  std::map<MatrixKey, MatrixRecord> matrices;
  std::map<HessianKey, v1::HessianRef> hessians;
};

// Everything: jobs by id, workers by id.
struct ClusterState {
  std::map<std::string, JobState> jobs;
  std::map<std::string, WorkerRecord> workers;
};

// nullptr when there is no such task.
const TaskRecord* FindTask(const JobState& job, const std::string& task_id);
TaskRecord* FindTask(JobState* job, const std::string& task_id);

HessianKey KeyOf(const v1::HessianRef& hessian);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_RECORDS_H_
