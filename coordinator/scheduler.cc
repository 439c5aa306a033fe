#include "coordinator/scheduler.h"

#include <algorithm>
#include <vector>

#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

std::vector<const JobState*> JobsInOrder(const ClusterState& state) {
  std::vector<const JobState*> jobs;
  for (const auto& [id, job] : state.jobs) {
    if (!HasEnded(job.record.job.state())) jobs.push_back(&job);
  }
  std::sort(jobs.begin(), jobs.end(), [](const JobState* a, const JobState* b) {
    const int priority_a = a->record.job.priority();
    const int priority_b = b->record.job.priority();
    if (priority_a != priority_b) return priority_a > priority_b;
    return a->record.ordinal < b->record.ordinal;
  });
  return jobs;
}

// What others wait for comes first.
int Stage(const TaskRecord& task) {
  if (task.kind == TaskKind::kCalibrate) return 0;
  return task.kind == TaskKind::kProbe ? 1 : 2;
}

bool Precedes(const TaskRecord& a, const TaskRecord& b) {
  if (Stage(a) != Stage(b)) return Stage(a) < Stage(b);
  return a.work > b.work;
}

bool FitsIn(const JobState& job, const TaskRecord& task, absl::Duration available,
            const LeasePolicy& policy) {
  return ExpectedDuration(job, task).value_or(policy.lease) <= available;
}

}  // namespace

std::optional<TaskKey> PickTask(const ClusterState& state, const WorkRequest& request,
                                const LeasePolicy& policy, absl::Time now) {
  for (const JobState* job : JobsInOrder(state)) {
    if (!HasMemoryFor(job->record, request.memory_bytes, policy)) continue;
    const TaskRecord* best = nullptr;
    for (const TaskRecord& task : job->tasks) {
      if (!MayGrant(task, request.worker, policy, now) || !InputsReady(*job, task)) continue;
      if (!FitsIn(*job, task, request.available_until - now, policy)) continue;
      if (best == nullptr || Precedes(task, *best)) best = &task;
    }
    if (best != nullptr) return TaskKey{job->record.id, best->id};
  }
  return std::nullopt;
}

bool HasGrantableTask(const JobState& job, absl::Time now) {
  if (HasEnded(job.record.job.state())) return false;
  return std::any_of(job.tasks.begin(), job.tasks.end(), [&job, now](const TaskRecord& task) {
    const bool waits = task.state == TaskState::kPending || task.state == TaskState::kLapsed;
    return waits && task.not_before <= now && InputsReady(job, task);
  });
}

bool HasMemoryFor(const JobRecord& job, std::int64_t memory_bytes, const LeasePolicy& policy) {
  const double needed = policy.memory_share * static_cast<double>(job.job.worker_memory_bytes());
  return memory_bytes == 0 || static_cast<double>(memory_bytes) >= needed;
}

std::optional<absl::Duration> ExpectedDuration(const JobState& job, const TaskRecord& task) {
  double work = 0;
  double seconds = 0;
  for (const TaskRecord& done : job.tasks) {
    if (done.kind != task.kind || done.state != TaskState::kDone) continue;
    work += done.work;
    seconds += done.seconds;
  }
  if (work <= 0) return std::nullopt;
  return absl::Seconds(seconds * task.work / work);
}

bool FailedEverywhere(const ClusterState& state, const TaskRecord& task, const LeasePolicy& policy,
                      absl::Time now) {
  int alive = 0;
  for (const auto& [id, worker] : state.workers) {
    if (!IsAlive(worker, policy, now)) continue;
    ++alive;
    if (!IsExcluded(task, worker.id, policy)) return false;
  }
  return alive > 0;
}

bool IsAlive(const WorkerRecord& worker, const LeasePolicy& policy, absl::Time now) {
  return worker.last_seen + policy.lease > now;
}

}  // namespace caldera::coordinator
