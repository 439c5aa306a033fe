#include "coordinator/memory_state_store.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "coordinator/leases.h"

namespace caldera::coordinator {
namespace {

bool FenceHolds(const JobState& job, const TaskChange& change) {
  const TaskRecord* stored = FindTask(job, change.task.id);
  return stored != nullptr && Holds(*stored, *change.fence);
}

absl::Status CheckJobs(const Transition& transition, const ClusterState& state) {
  for (const JobRecord& record : transition.jobs) {
    if (record.request_id.empty()) continue;
    for (const auto& [id, job] : state.jobs) {
      if (id != record.id.value() && job.record.request_id == record.request_id) {
        return base::AlreadyExists("request {} already made job {}", record.request_id, id);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRows(const Transition& transition, const ClusterState& state) {
  auto known = [&](const base::JobId& job) {
    return state.jobs.count(job.value()) > 0 ||
           std::any_of(transition.jobs.begin(), transition.jobs.end(),
                       [&job](const JobRecord& record) { return record.id == job; });
  };
  for (const TaskChange& change : transition.tasks) {
    if (!known(change.task.job)) return base::NotFound("job {}", change.task.job.value());
    if (!change.fence.has_value()) continue;
    const auto job = state.jobs.find(change.task.job.value());
    if (job == state.jobs.end() || !FenceHolds(job->second, change)) return StaleFence(change);
  }
  for (const MatrixChange& change : transition.matrices) {
    if (!known(change.job)) return base::NotFound("job {}", change.job.value());
    const auto job = state.jobs.find(change.job.value());
    if (job != state.jobs.end() && job->second.matrices.count(change.key) > 0) {
      return base::AlreadyExists("matrix {} {} of job {}", change.key.first, change.key.second,
                                 change.job.value());
    }
  }
  for (const HessianChange& change : transition.hessians) {
    if (!known(change.job)) return base::NotFound("job {}", change.job.value());
  }
  return absl::OkStatus();
}

}  // namespace

// Changes nothing unless it succeeds.
absl::Status MemoryStateStore::ApplyOne(const Transition& transition, Tables* tables) {
  CALDERA_RETURN_IF_ERROR(CheckJobs(transition, tables->state));
  CALDERA_RETURN_IF_ERROR(CheckRows(transition, tables->state));
  for (const EventChange& change : transition.events) {
    const auto events = tables->events.find(change.job.value());
    if (events != tables->events.end() && events->second.count(change.event.sequence()) > 0) {
      return base::AlreadyExists("event {} of job {}", change.event.sequence(), change.job.value());
    }
  }
  ApplyToState(transition, &tables->state);
  for (const EventChange& change : transition.events) {
    tables->events[change.job.value()][change.event.sequence()] = change.event;
  }
  for (const base::JobId& job : transition.deleted_jobs) tables->events.erase(job.value());
  return absl::OkStatus();
}

absl::StatusOr<ClusterState> MemoryStateStore::Load() {
  base::MutexLock lock(mutex_);
  return tables_.state;
}

absl::Status MemoryStateStore::ApplyAll(std::span<const Transition> transitions) {
  base::MutexLock lock(mutex_);
  if (transitions.size() == 1) return ApplyOne(transitions.front(), &tables_);
  Tables changed = tables_;
  for (const Transition& transition : transitions) {
    CALDERA_RETURN_IF_ERROR(ApplyOne(transition, &changed));
  }
  tables_ = std::move(changed);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::JobEvent>> MemoryStateStore::ReadEvents(const base::JobId& job,
                                                                       std::int64_t after,
                                                                       int limit) {
  base::MutexLock lock(mutex_);
  std::vector<v1::JobEvent> result;
  const auto events = tables_.events.find(job.value());
  if (events == tables_.events.end()) return result;
  for (auto it = events->second.upper_bound(after);
       it != events->second.end() && static_cast<int>(result.size()) < limit; ++it) {
    result.push_back(it->second);
  }
  return result;
}

}  // namespace caldera::coordinator
