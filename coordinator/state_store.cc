#include "coordinator/state_store.h"

#include "common/base/status.h"
#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

void PutTask(const TaskRecord& task, JobState* job) {
  if (TaskRecord* existing = FindTask(job, task.id)) {
    *existing = task;
  } else {
    job->tasks.push_back(task);
  }
}

}  // namespace

void ApplyToState(const Transition& transition, ClusterState* state) {
  for (const JobRecord& record : transition.jobs) state->jobs[record.id.value()].record = record;
  for (const TaskChange& change : transition.tasks) {
    PutTask(change.task, &state->jobs[change.task.job.value()]);
  }
  for (const MatrixChange& change : transition.matrices) {
    state->jobs[change.job.value()].matrices[change.key] = change.matrix;
  }
  for (const HessianChange& change : transition.hessians) {
    state->jobs[change.job.value()].hessians[KeyOf(change.hessian)] = change.hessian;
  }
  for (const WorkerRecord& worker : transition.workers) {
    state->workers[worker.id.value()] = worker;
  }
  for (const LostMatrix& lost : transition.lost_matrices) {
    state->jobs[lost.job.value()].matrices.erase(lost.key);
  }
  for (const LostHessian& lost : transition.lost_hessians) {
    state->jobs[lost.job.value()].hessians.erase(lost.key);
  }
  for (const base::JobId& job : transition.forgotten_hessians) {
    state->jobs[job.value()].hessians.clear();
  }
  for (const base::JobId& job : transition.deleted_jobs) state->jobs.erase(job.value());
}

absl::Status StaleFence(const TaskChange& change) {
  return WithReason(base::FailedPrecondition("lease {} attempt {} of task {} of job {} is stale",
                                             change.fence->lease.value(), change.fence->attempt,
                                             change.task.id, change.task.job.value()),
                    kReasonStaleLease);
}

}  // namespace caldera::coordinator
