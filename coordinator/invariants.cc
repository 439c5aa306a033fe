#include "coordinator/invariants.h"

#include <algorithm>
#include <set>
#include <string>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "coordinator/job_graph.h"
#include "coordinator/scheduler.h"

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

absl::Status CheckRival(const TaskRecord& task) {
  if (task.fence.attempt > task.attempts) return Broken(task, "an attempt beyond those given");
  if (!task.rival.has_value()) return absl::OkStatus();
  const RivalLease& rival = *task.rival;
  if (task.state != TaskState::kLeased) return Broken(task, "a rival of nobody");
  if (rival.fence.lease.value().empty() || rival.fence.attempt < 1) {
    return Broken(task, "a rival without a fence");
  }
  if (rival.fence.attempt > task.attempts || rival.fence.attempt == task.fence.attempt) {
    return Broken(task, "a rival with an attempt that was not given to it");
  }
  return rival.worker == task.worker ? Broken(task, "its worker is its own rival")
                                     : absl::OkStatus();
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
  if (state == v1::PENDING && task.attempts > 0) {
    return Broken(task, "leased although the job is pending");
  }
  CALDERA_RETURN_IF_ERROR(CheckRival(task));
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

absl::Status CheckResults(const JobState& job) {
  const int layers = job.record.job.model().layers();
  const int ranges = job.record.job.spec().calibration().ranges();
  for (const auto& [key, matrix] : job.matrices) {
    const bool known = key.first >= 0 && key.first < layers && key.second >= 0 &&
                       key.second < model::kProjectionCount;
    if (!known) return Broken(job, "a matrix of no task");
  }
  for (const auto& [key, hessian] : job.hessians) {
    const auto& [layer, range, kind] = key;
    const bool known = layer >= 0 && layer < layers && range >= 0 && range < ranges;
    if (!known) return Broken(job, "a Hessian of no task");
  }
  return absl::OkStatus();
}

// What must differ between all leases and jobs, as far as they have been seen.
struct Seen {
  std::set<std::string> leases;
  std::set<std::string> workers;
  std::set<std::int64_t> ordinals;
  std::set<std::string> requests;
};

absl::Status CheckWorker(const ClusterState& state, const TaskRecord& task,
                         const LeasePolicy& policy) {
  const auto worker = state.workers.find(task.worker.value());
  if (worker == state.workers.end()) return Broken(task, "its worker is not registered");
  if (worker->second.incarnation != task.incarnation) {
    return Broken(task, "held by an incarnation that is over");
  }
  const JobRecord& job = state.jobs.at(task.job.value()).record;
  return HasMemoryFor(job, worker->second.memory_bytes, policy)
             ? absl::OkStatus()
             : Broken(task, "its worker has too little memory");
}

// The holder that the record has first.
absl::Status CheckHolder(const ClusterState& state, const TaskRecord& task,
                         const LeasePolicy& policy, Seen* seen) {
  if (!IsHeld(task)) return absl::OkStatus();
  if (!seen->leases.insert(task.fence.lease.value()).second) {
    return Broken(task, "shares its lease id");
  }
  if (task.state != TaskState::kLeased) return absl::OkStatus();
  if (!seen->workers.insert(task.worker.value()).second) {
    return Broken(task, "its worker holds two leases");
  }
  return CheckWorker(state, task, policy);
}

absl::Status CheckUnique(const JobState& job, Seen* seen) {
  if (!seen->ordinals.insert(job.record.ordinal).second) {
    return Broken(job, "shares its creation number");
  }
  const std::string& request = job.record.request_id;
  return request.empty() || seen->requests.insert(request).second
             ? absl::OkStatus()
             : Broken(job, "shares its request id");
}

}  // namespace

absl::Status CheckInvariants(const ClusterState& state, const LeasePolicy& policy) {
  Seen seen;
  for (const auto& [id, job] : state.jobs) {
    CALDERA_RETURN_IF_ERROR(CheckJob(job));
    CALDERA_RETURN_IF_ERROR(CheckUnique(job, &seen));
    CALDERA_RETURN_IF_ERROR(CheckResults(job));
    for (const TaskRecord& task : job.tasks) {
      CALDERA_RETURN_IF_ERROR(CheckTask(job, task, policy));
      CALDERA_RETURN_IF_ERROR(CheckHolder(state, task, policy, &seen));
      if (!task.rival.has_value()) continue;
      CALDERA_RETURN_IF_ERROR(CheckHolder(state, SeenBy(task, task.rival->fence), policy, &seen));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
