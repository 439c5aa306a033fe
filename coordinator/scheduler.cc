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

// A task that may be given, and what is left of it.
struct Candidate {
  const TaskRecord* task = nullptr;
  double work = 0;
};

bool Precedes(const Candidate& a, const Candidate& b) {
  if (b.task == nullptr) return true;
  if (Stage(*a.task) != Stage(*b.task)) return Stage(*a.task) < Stage(*b.task);
  return a.work > b.work;
}

bool FitsIn(const JobState& job, const TaskRecord& task, const WorkRequest& request,
            const LeasePolicy& policy, absl::Time now) {
  if (request.available_until == absl::InfiniteFuture()) return true;
  return now + ExpectedDuration(job, task, request.worker).value_or(policy.lease) <=
         request.available_until;
}

// Whose pace; nullptr: everybody's.
using Whose = const base::WorkerId*;
bool Counts(const base::WorkerId& worker, Whose whose) {
  return whose == nullptr || worker == *whose;
}

struct Pace {
  double work = 0;
  double seconds = 0;
  bool known() const { return work > 0 && seconds > 0; }
};

// A task that went on where another attempt had stopped says nothing: its time is not that of its
// work.
Pace PaceOfTasks(const JobState& job, TaskKind kind, Whose whose) {
  Pace pace;
  for (const TaskRecord& done : job.tasks) {
    const bool whole =
        done.kind == kind && done.state == TaskState::kDone && done.fence.attempt <= 1;
    if (!whole || !Counts(done.worker, whose)) continue;
    pace.work += done.work;
    pace.seconds += done.seconds;
  }
  return pace;
}

Pace PaceOfMatrices(const JobState& job, Whose whose) {
  Pace pace;
  for (const auto& [key, matrix] : job.matrices) {
    if (!Counts(matrix.worker, whose)) continue;
    pace.work += MatrixWork(matrix.result.rows(), matrix.result.columns());
    pace.seconds += matrix.result.seconds();
  }
  return pace;
}

Pace PaceOf(const JobState& job, TaskKind kind, Whose whose) {
  const Pace pace = PaceOfTasks(job, kind, whose);
  if (pace.known() || kind != TaskKind::kCompress) return pace;
  return PaceOfMatrices(job, whose);
}

// What there was to do when the lease was given. Of tasks without matrices only a first lease says.
double WorkOfLease(const JobState& job, const TaskRecord& task) {
  if (task.kind != TaskKind::kCompress && task.attempts <= 1) return task.work;
  double work = RemainingWork(job, task);
  if (task.kind != TaskKind::kCompress) return work;
  const auto end = job.matrices.lower_bound({task.index + 1, 0});
  for (auto it = job.matrices.lower_bound({task.index, 0}); it != end; ++it) {
    const v1::MatrixResult& matrix = it->second.result;
    if (it->second.attempt == task.fence.attempt)
      work += MatrixWork(matrix.rows(), matrix.columns());
  }
  return work;
}

bool RunsLate(const JobState& job, const TaskRecord& task, const LeasePolicy& policy,
              absl::Time now) {
  const absl::Duration elapsed = now - task.granted;
  if (policy.speculate_after <= 0 || elapsed <= policy.heartbeat) return false;
  const Pace pace = PaceOf(job, task.kind, nullptr);
  if (!pace.known()) return false;
  const absl::Duration expected = absl::Seconds(WorkOfLease(job, task) * pace.seconds / pace.work);
  return elapsed > policy.speculate_after * expected;
}

}  // namespace

std::optional<TaskKey> PickTask(const ClusterState& state, const WorkRequest& request,
                                const LeasePolicy& policy, absl::Time now) {
  for (const JobState* job : JobsInOrder(state)) {
    if (!HasMemoryFor(job->record, request.memory_bytes, policy)) continue;
    Candidate best;
    for (const TaskRecord& task : job->tasks) {
      if (!MayGrant(task, request.worker, policy, now) || !InputsReady(*job, task)) continue;
      const Candidate candidate{&task, RemainingWork(*job, task)};
      if (!Precedes(candidate, best) || !FitsIn(*job, task, request, policy, now)) continue;
      best = candidate;
    }
    if (best.task != nullptr) return TaskKey{job->record.id, best.task->id};
  }
  return std::nullopt;
}

std::optional<TaskKey> PickStraggler(const ClusterState& state, const WorkRequest& request,
                                     const LeasePolicy& policy, absl::Time now) {
  for (const JobState* job : JobsInOrder(state)) {
    if (!HasMemoryFor(job->record, request.memory_bytes, policy)) continue;
    Candidate best;
    for (const TaskRecord& task : job->tasks) {
      if (!MayGrantRival(task, request.worker, policy)) continue;
      if (!RunsLate(*job, task, policy, now) || !FitsIn(*job, task, request, policy, now)) continue;
      const Candidate candidate{&task, RemainingWork(*job, task)};
      if (best.task == nullptr || candidate.work > best.work) best = candidate;
    }
    if (best.task != nullptr) return TaskKey{job->record.id, best.task->id};
  }
  return std::nullopt;
}

bool HasGrantableTask(const JobState& job, const LeasePolicy& policy, absl::Time now) {
  if (HasEnded(job.record.job.state())) return false;
  return std::any_of(job.tasks.begin(), job.tasks.end(), [&](const TaskRecord& task) {
    if (task.state == TaskState::kLeased) {
      return !task.rival.has_value() && RunsLate(job, task, policy, now);
    }
    const bool waits = task.state == TaskState::kPending || task.state == TaskState::kLapsed;
    return waits && task.not_before <= now && InputsReady(job, task);
  });
}

bool HasMemoryFor(const JobRecord& job, std::int64_t memory_bytes, const LeasePolicy& policy) {
  const double needed = policy.memory_share * static_cast<double>(job.job.worker_memory_bytes());
  return memory_bytes == 0 || static_cast<double>(memory_bytes) >= needed;
}

std::optional<absl::Duration> ExpectedDuration(const JobState& job, const TaskRecord& task,
                                               const base::WorkerId& worker) {
  Pace pace = PaceOf(job, task.kind, &worker);
  if (!pace.known()) pace = PaceOf(job, task.kind, nullptr);
  if (!pace.known()) return std::nullopt;
  return absl::Seconds(RemainingWork(job, task) * pace.seconds / pace.work);
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
  return !worker.gone && worker.last_seen + policy.lease > now;
}

}  // namespace caldera::coordinator
