#include "coordinator/leases.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

absl::Duration BackoffAfter(int failures, const LeasePolicy& policy) {
  const double factor = std::pow(2.0, std::min(failures - 1, 30));
  return std::min(policy.backoff * factor, policy.max_backoff);
}

// In [-1, 1), the same for the same text (FNV-1a).
double DrawFrom(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash ^= hash >> 32;
  return static_cast<double>(hash & 0xffffffff) / 0x1p31 - 1;
}

RivalLease FirstLease(const TaskRecord& task) {
  return {task.fence,    task.worker,   task.incarnation,   task.granted,
          task.deadline, task.progress, task.progress_time, task.status};
}

void PutFirst(RivalLease lease, TaskRecord* task) {
  task->fence = std::move(lease.fence);
  task->worker = std::move(lease.worker);
  task->incarnation = std::move(lease.incarnation);
  task->granted = lease.granted;
  task->deadline = lease.deadline;
  task->progress = lease.progress;
  task->progress_time = lease.progress_time;
  task->status = std::move(lease.status);
}

RivalLease NewLease(const LeaseHolder& holder, int attempt, const LeasePolicy& policy,
                    absl::Time now) {
  return {{holder.lease, attempt},
          holder.worker,
          holder.incarnation,
          now,
          now + policy.lease,
          0,
          now,
          ""};
}

}  // namespace

bool IsExcluded(const TaskRecord& task, const base::WorkerId& worker, const LeasePolicy& policy) {
  const auto failures = task.failures_of_worker.find(worker.value());
  return failures != task.failures_of_worker.end() &&
         failures->second >= policy.failures_before_exclusion;
}

bool MayGrant(const TaskRecord& task, const base::WorkerId& worker, const LeasePolicy& policy,
              absl::Time now) {
  const bool free = task.state == TaskState::kPending || task.state == TaskState::kLapsed;
  return free && task.not_before <= now && !IsExcluded(task, worker, policy);
}

TaskRecord Grant(TaskRecord task, const LeaseHolder& holder, const LeasePolicy& policy,
                 absl::Time now) {
  task.state = TaskState::kLeased;
  PutFirst(NewLease(holder, ++task.attempts, policy, now), &task);
  return task;
}

bool MayGrantRival(const TaskRecord& task, const base::WorkerId& worker,
                   const LeasePolicy& policy) {
  return task.state == TaskState::kLeased && !task.rival.has_value() && task.worker != worker &&
         task.failures + 1 < policy.max_failures && !IsExcluded(task, worker, policy);
}

TaskRecord GrantRival(TaskRecord task, const LeaseHolder& holder, const LeasePolicy& policy,
                      absl::Time now) {
  task.rival = NewLease(holder, ++task.attempts, policy, now);
  return task;
}

TaskRecord SeenBy(TaskRecord task, const Fence& fence) {
  if (!task.rival.has_value() || task.rival->fence != fence) return task;
  RivalLease first = FirstLease(task);
  PutFirst(*std::move(task.rival), &task);
  task.rival = std::move(first);
  return task;
}

bool Holds(const TaskRecord& task, const Fence& fence) {
  if (task.state != TaskState::kLeased && task.state != TaskState::kLapsed) return false;
  return task.fence == fence || (task.rival.has_value() && task.rival->fence == fence);
}

const Fence* FenceOfHolder(const TaskRecord& task, const base::WorkerId& worker) {
  if (task.state != TaskState::kLeased && task.state != TaskState::kLapsed) return nullptr;
  if (task.worker == worker) return &task.fence;
  return task.rival.has_value() && task.rival->worker == worker ? &task.rival->fence : nullptr;
}

absl::Status CheckFence(const TaskRecord& task, const Fence& fence) {
  const bool finished = task.state == TaskState::kDone && task.fence == fence;
  if (finished || Holds(task, fence)) return absl::OkStatus();
  return WithReason(
      base::FailedPrecondition("lease {} attempt {} of task {} of job {} is stale (attempt {} now)",
                               fence.lease.value(), fence.attempt, task.id, task.job.value(),
                               task.attempts),
      kReasonStaleLease, {{"task", task.id}, {"job", task.job.value()}});
}

TaskRecord Renew(TaskRecord task, std::int64_t progress, const LeasePolicy& policy,
                 absl::Time now) {
  task.state = TaskState::kLeased;
  task.deadline = std::max(task.deadline, now + policy.lease);
  if (progress != task.progress) {
    task.progress = progress;
    task.progress_time = now;
  }
  return task;
}

TaskRecord NoteProgressMade(TaskRecord task, absl::Time now) {
  task.failures = 0;
  task.failures_of_worker.clear();
  task.progress_time = now;
  return task;
}

std::optional<LapseReason> FindLapse(const TaskRecord& task, const LeasePolicy& policy,
                                     absl::Time now) {
  if (task.state != TaskState::kLeased) return std::nullopt;
  if (task.deadline <= now) return LapseReason::kExpired;
  if (task.progress_time + policy.stall_timeout <= now) return LapseReason::kStalled;
  return std::nullopt;
}

TaskRecord Lapse(TaskRecord task, LapseReason reason, absl::Time now) {
  ++task.failures;
  if (reason == LapseReason::kStalled) {
    ++task.failures_of_worker[task.worker.value()];
    task.last_error = fmt::format("worker {} made no progress", task.worker.value());
  } else {
    task.last_error = fmt::format("worker {} was lost: its lease expired", task.worker.value());
  }
  // The heartbeats of one that stalls go on: with a fence that still held they would revive the
  // lease.
  if (reason == LapseReason::kStalled || task.rival.has_value()) {
    task = Release(std::move(task));
  } else {
    task.state = TaskState::kLapsed;
  }
  task.not_before = now;
  return task;
}

TaskRecord ReleaseAll(TaskRecord task) {
  task.rival.reset();
  return Release(std::move(task));
}

TaskRecord Release(TaskRecord task) {
  if (task.rival.has_value()) {
    PutFirst(*std::move(task.rival), &task);
    task.rival.reset();
    return task;
  }
  task.state = TaskState::kPending;
  task.fence.lease = base::LeaseId();
  task.not_before = absl::InfinitePast();
  task.deadline = absl::InfinitePast();
  return task;
}

TaskRecord Fail(TaskRecord task, const absl::Status& error, const LeasePolicy& policy,
                absl::Time now) {
  const double draw =
      DrawFrom(fmt::format("{} {} {}", task.job.value(), task.id, task.fence.attempt));
  ++task.failures;
  ++task.failures_of_worker[task.worker.value()];
  task.last_error = base::MessageOf(error);
  task = Release(std::move(task));
  task.not_before = now + BackoffAfter(task.failures, policy) * (1 + policy.backoff_jitter * draw);
  return task;
}

bool IsPermanent(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

bool IsPoisoned(const TaskRecord& task, const LeasePolicy& policy) {
  return task.failures >= policy.max_failures;
}

TaskRecord Complete(TaskRecord task, absl::Time now) {
  task.state = TaskState::kDone;
  task.rival.reset();
  task.seconds = absl::ToDoubleSeconds(now - task.granted);
  task.deadline = absl::InfinitePast();
  return NoteProgressMade(std::move(task), now);
}

TaskRecord ExtendAfterRestart(TaskRecord task, const LeasePolicy& policy, absl::Time now) {
  if (task.state != TaskState::kLeased) return task;
  task.deadline = std::max(task.deadline, now + policy.restart_grace);
  task.progress_time = now;
  if (task.rival.has_value()) {
    task.rival->deadline = std::max(task.rival->deadline, now + policy.restart_grace);
    task.rival->progress_time = now;
  }
  return task;
}

}  // namespace caldera::coordinator
