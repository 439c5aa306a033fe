#include "coordinator/invariants.h"

#include <algorithm>
#include <set>
#include <string>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

bool IsHeld(const TaskRecord& task) {
  return task.state == TaskState::kLeased || task.state == TaskState::kLapsed;
}

absl::Status Broken(const TaskRecord& task, const std::string& rule) {
  return base::Internal("invariant: job {} task {}: {}", task.job.value(), task.id, rule);
}

absl::Status Broken(const JobState& job, const std::string& rule) {
  return base::Internal("invariant: job {}: {}", job.record.id.value(), rule);
}

int HessiansOfRange(const JobState& job, int range) {
  return static_cast<int>(
      std::count_if(job.hessians.begin(), job.hessians.end(),
                    [range](const auto& entry) { return std::get<1>(entry.first) == range; }));
}

int MatricesOfLayer(const JobState& job, int layer) {
  return static_cast<int>(std::distance(job.matrices.lower_bound({layer, 0}),
                                        job.matrices.lower_bound({layer + 1, 0})));
}

absl::Status CheckDone(const JobState& job, const TaskRecord& task) {
  const bool succeeded = job.record.job.state() == v1::SUCCEEDED;
  switch (task.kind) {
    case TaskKind::kCalibrate:
      if (!succeeded && HessiansOfRange(job, task.index) !=
                            job.record.job.model().layers() * model::kHessianKindCount) {
        return Broken(task, "done without all Hessians of its range");
      }
      return absl::OkStatus();
    case TaskKind::kProbe:
      return task.probes.empty() ? Broken(task, "done without probes") : absl::OkStatus();
    case TaskKind::kCompress:
      if (MatricesOfLayer(job, task.index) != model::kProjectionCount) {
        return Broken(task, "done without its seven matrices");
      }
      [[fallthrough]];
    case TaskKind::kEmbeddings:
      return task.shard.sha256().empty() ? Broken(task, "done without a shard") : absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status CheckTask(const JobState& job, const TaskRecord& task, const LeasePolicy& policy) {
  const v1::State state = job.record.job.state();
  if (!task.q_bits.empty() && (task.kind != TaskKind::kCompress ||
                               task.q_bits.size() != std::size_t{model::kProjectionCount})) {
    return Broken(task, "an allotment of bits that is not that of seven matrices");
  }
  if (IsHeld(task) && (task.fence.lease.value().empty() || task.fence.attempt < 1)) {
    return Broken(task, "held without a fence");
  }
  if (IsHeld(task) && task.worker.value().empty()) return Broken(task, "held by nobody");
  if (IsHeld(task) && HasEnded(state)) return Broken(task, "held although the job has ended");
  if (state == v1::PENDING && task.fence.attempt > 0) {
    return Broken(task, "leased although the job is pending");
  }
  if (state == v1::RUNNING && task.state == TaskState::kLeased && !InputsReady(job, task)) {
    return Broken(task, "leased without its inputs");
  }
  if (state != v1::FAILED && task.failures > policy.max_failures) {
    return Broken(task, "failed more often than the cap");
  }
  return task.state == TaskState::kDone ? CheckDone(job, task) : absl::OkStatus();
}

absl::Status CheckJob(const JobState& job) {
  const v1::CompressionJob& record = job.record.job;
  if ((record.state() == v1::FAILED) != record.has_error()) {
    return Broken(job, "an error belongs to failed jobs only");
  }
  if (HasEnded(record.state()) != record.has_end_time()) {
    return Broken(job, "an end time belongs to ended jobs only");
  }
  if (record.state() == v1::SUCCEEDED &&
      (!AllTasksDone(job) || record.result().manifest_sha256().empty())) {
    return Broken(job, "succeeded without a manifest");
  }
  return job.record.last_sequence < 0 ? Broken(job, "negative event number") : absl::OkStatus();
}

// Lease ids and holders seen so far, over all jobs.
struct Holders {
  std::set<std::string> leases;
  std::set<std::string> workers;
};

absl::Status CheckHolder(const TaskRecord& task, Holders* holders) {
  if (!IsHeld(task)) return absl::OkStatus();
  if (!holders->leases.insert(task.fence.lease.value()).second) {
    return Broken(task, "shares its lease id");
  }
  if (task.state == TaskState::kLeased && !holders->workers.insert(task.worker.value()).second) {
    return Broken(task, "its worker holds two leases");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInvariants(const ClusterState& state, const LeasePolicy& policy) {
  Holders holders;
  for (const auto& [id, job] : state.jobs) {
    CALDERA_RETURN_IF_ERROR(CheckJob(job));
    for (const TaskRecord& task : job.tasks) {
      CALDERA_RETURN_IF_ERROR(CheckTask(job, task, policy));
      CALDERA_RETURN_IF_ERROR(CheckHolder(task, &holders));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
