#include "coordinator/state_index.h"

namespace caldera::coordinator {
namespace {

// A transition may name a task more than once.
std::set<TaskKey> TasksOf(const Transition& transition) {
  std::set<TaskKey> keys;
  for (const TaskChange& change : transition.tasks) keys.insert({change.task.job, change.task.id});
  return keys;
}

const TaskRecord* Find(const ClusterState& state, const TaskKey& key) {
  const auto job = state.jobs.find(key.job.value());
  return job == state.jobs.end() ? nullptr : FindTask(job->second, key.task);
}

}  // namespace

StateIndex::StateIndex(const ClusterState& state) {
  for (const auto& [id, job] : state.jobs) {
    for (const TaskRecord& task : job.tasks) AddTask(task);
    for (const auto& [key, matrix] : job.matrices) AddUse(matrix.result.object());
    for (const auto& [key, hessian] : job.hessians) AddUse(hessian.object());
  }
}

void StateIndex::Forget(const Transition& transition, const ClusterState& before) {
  for (const TaskKey& key : TasksOf(transition)) {
    if (const TaskRecord* task = Find(before, key)) RemoveTask(*task);
  }
  for (const LostMatrix& lost : transition.lost_matrices) {
    RemoveUse(before.jobs.at(lost.job.value()).matrices.at(lost.key).result.object());
  }
  for (const LostHessian& lost : transition.lost_hessians) {
    RemoveUse(before.jobs.at(lost.job.value()).hessians.at(lost.key).object());
  }
  for (const base::JobId& id : transition.forgotten_hessians) {
    RemoveHessians(before.jobs.at(id.value()));
  }
  for (const base::JobId& id : transition.deleted_jobs) {
    const auto job = before.jobs.find(id.value());
    if (job == before.jobs.end()) continue;
    for (const TaskRecord& task : job->second.tasks) RemoveTask(task);
    for (const auto& [key, matrix] : job->second.matrices) RemoveUse(matrix.result.object());
    RemoveHessians(job->second);
  }
}

void StateIndex::Note(const Transition& transition, const ClusterState& after) {
  for (const TaskKey& key : TasksOf(transition)) {
    if (const TaskRecord* task = Find(after, key)) AddTask(*task);
  }
  for (const MatrixChange& change : transition.matrices) AddUse(change.matrix.result.object());
  for (const HessianChange& change : transition.hessians) AddUse(change.hessian.object());
}

const TaskKey* StateIndex::FindLease(const base::LeaseId& lease) const {
  const auto found = by_lease_.find(lease.value());
  return found == by_lease_.end() ? nullptr : &found->second;
}

const TaskKey* StateIndex::FindHeld(const base::WorkerId& worker) const {
  const auto found = held_.find(worker.value());
  return found == held_.end() ? nullptr : &*found->second.begin();
}

void StateIndex::AddTask(const TaskRecord& task) {
  const TaskKey key{task.job, task.id};
  if (!task.fence.lease.value().empty()) by_lease_[task.fence.lease.value()] = key;
  if (task.state == TaskState::kLeased) held_[task.worker.value()].insert(key);
  if (task.rival.has_value()) {
    by_lease_[task.rival->fence.lease.value()] = key;
    held_[task.rival->worker.value()].insert(key);
  }
  AddUse(task.shard);
}

void StateIndex::RemoveHeld(const base::WorkerId& worker, const TaskKey& key) {
  const auto held = held_.find(worker.value());
  if (held == held_.end()) return;
  held->second.erase(key);
  if (held->second.empty()) held_.erase(held);
}

void StateIndex::RemoveTask(const TaskRecord& task) {
  by_lease_.erase(task.fence.lease.value());
  RemoveHeld(task.worker, {task.job, task.id});
  if (task.rival.has_value()) {
    by_lease_.erase(task.rival->fence.lease.value());
    RemoveHeld(task.rival->worker, {task.job, task.id});
  }
  RemoveUse(task.shard);
}

void StateIndex::AddUse(const v1::ObjectRef& object) {
  if (!object.sha256().empty()) ++uses_[object.sha256()];
}

void StateIndex::RemoveUse(const v1::ObjectRef& object) {
  const auto found = uses_.find(object.sha256());
  if (found != uses_.end() && --found->second == 0) uses_.erase(found);
}

void StateIndex::RemoveHessians(const JobState& job) {
  for (const auto& [key, hessian] : job.hessians) RemoveUse(hessian.object());
}

}  // namespace caldera::coordinator
