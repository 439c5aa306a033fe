#include "coordinator/cluster_core.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status.h"
#include "coordinator/error_details.h"
#include "coordinator/invariants.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

// Whether a transition may have made tasks runnable: those that only renew or end leases do not.
bool MayReadyTasks(const Transition& transition) {
  if (!transition.hessians.empty() || transition.tasks.empty()) return true;
  return std::any_of(transition.tasks.begin(), transition.tasks.end(), [](const auto& change) {
    return change.task.state == TaskState::kPending || change.task.state == TaskState::kLapsed;
  });
}

absl::Time EndTime(const JobState& job) {
  const auto& end = job.record.job.end_time();
  return absl::FromUnixSeconds(end.seconds()) + absl::Nanoseconds(end.nanos());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterCore>> ClusterCore::Open(CoreOptions options,
                                                               CoreDependencies dependencies) {
  CALDERA_ASSIGN_OR_RETURN(ClusterState state, dependencies.states->Load());
  std::unique_ptr<ClusterCore> core(
      new ClusterCore(options, std::move(dependencies), std::move(state)));
  CALDERA_RETURN_IF_ERROR(core->ExtendLeases());
  for (const auto& [id, job] : core->state_.jobs) {
    core->changed_jobs_.insert(id);
    core->NoteReadyTasks(id);
  }
  core->CheckInvariantsIfOn();
  return core;
}

absl::Status ClusterCore::ExtendLeases() {
  Transition transition;
  for (const auto& [id, job] : state_.jobs) {
    for (const TaskRecord& task : job.tasks) {
      if (task.state != TaskState::kLeased) continue;
      transition.tasks.push_back({ExtendAfterRestart(task, policy(), Now()), task.fence});
      state_.workers[task.worker.value()].last_seen = Now();
      if (task.rival.has_value()) state_.workers[task.rival->worker.value()].last_seen = Now();
    }
  }
  return transition.tasks.empty() ? absl::OkStatus() : ApplyTransition(transition);
}

void ClusterCore::KeepVolatile(ClusterState* loaded) const {
  for (auto& [id, worker] : loaded->workers) {
    const auto old = state_.workers.find(id);
    if (old == state_.workers.end()) continue;
    worker.last_seen = old->second.last_seen;
    worker.gone = old->second.gone && old->second.incarnation == worker.incarnation;
  }
  for (auto& [id, job] : loaded->jobs) {
    const auto old_job = state_.jobs.find(id);
    for (TaskRecord& task : job.tasks) {
      if (task.state != TaskState::kLeased) continue;
      const TaskRecord* old =
          old_job == state_.jobs.end() ? nullptr : FindTask(old_job->second, task.id);
      const Fence first = task.fence;
      task = KeepLease(task, old);
      if (!task.rival.has_value()) continue;
      task = SeenBy(KeepLease(SeenBy(task, task.rival->fence), old), first);
    }
  }
}

// Of the first holder.
TaskRecord ClusterCore::KeepLease(TaskRecord loaded, const TaskRecord* old) const {
  std::int64_t progress = 0;
  if (old != nullptr && Holds(*old, loaded.fence)) {
    const TaskRecord seen = SeenBy(*old, loaded.fence);
    loaded.status = seen.status;
    progress = seen.progress;
  }
  TaskRecord renewed = Renew(std::move(loaded), progress, policy(), Now());
  renewed.progress_time = Now();  // nothing could be reported meanwhile: no stall
  return renewed;
}

absl::Status ClusterCore::Reload() {
  CALDERA_ASSIGN_OR_RETURN(ClusterState loaded, dependencies_.states->Load());
  KeepVolatile(&loaded);
  for (const auto& [id, job] : state_.jobs) changed_jobs_.insert(id);
  state_ = std::move(loaded);
  index_ = StateIndex(state_);
  ready_since_.clear();
  for (const auto& [id, job] : state_.jobs) {
    changed_jobs_.insert(id);
    NoteReadyTasks(id);
  }
  CheckInvariantsIfOn();
  return absl::OkStatus();
}

const TaskRecord* ClusterCore::Find(const TaskKey* key) const {
  return key == nullptr ? nullptr : FindTask(state_.jobs.at(key->job.value()), key->task);
}

const TaskRecord* ClusterCore::FindTaskOf(const Fence& fence) const {
  const TaskRecord* task = Find(index_.FindLease(fence.lease));
  return task != nullptr && CheckFence(*task, fence).ok() ? task : nullptr;
}

std::optional<TaskRecord> ClusterCore::HeldTask(const base::WorkerId& worker) const {
  const TaskRecord* task = Find(index_.FindHeld(worker));
  const Fence* fence = task == nullptr ? nullptr : FenceOfHolder(*task, worker);
  return fence == nullptr ? std::nullopt : std::optional(SeenBy(*task, *fence));
}

std::string ClusterCore::StateOf(const WorkerRecord& worker) const {
  if (worker.gone) return "gone";
  if (!IsAlive(worker, policy(), Now())) return "lost";
  const std::optional<TaskRecord> held = HeldTask(worker.id);
  if (!held.has_value()) return "idle";
  return held->status.rfind("drain", 0) == 0 ? "draining" : "busy";
}

absl::StatusOr<const JobState*> ClusterCore::FindJob(const base::JobId& job) const {
  const auto found = state_.jobs.find(job.value());
  if (found != state_.jobs.end()) return &found->second;
  return WithReason(base::NotFound("job {} does not exist", JobName(job)), kReasonJobNotFound,
                    {{"job", JobName(job)}});
}

absl::Status ClusterCore::Apply(JobEdit edit) { return ApplyTransition(edit.Take()); }

absl::Status ClusterCore::ApplyTransition(const Transition& transition) {
  CALDERA_RETURN_IF_ERROR(dependencies_.states->Apply(transition));
  index_.Forget(transition, state_);
  ApplyToState(transition, &state_);
  index_.Note(transition, state_);
  for (const JobRecord& job : transition.jobs) {
    changed_jobs_.insert(job.id.value());
    last_progress_[job.id.value()] = Now();
    if (MayReadyTasks(transition)) NoteReadyTasks(job.id.value());
  }
  for (const base::JobId& job : transition.deleted_jobs) {
    changed_jobs_.insert(job.value());
    last_progress_.erase(job.value());
  }
  for (const EventChange& change : transition.events) {
    log()
        .With({{"job", change.job.value()}, {"layer", change.event.layer()}})
        .Info("{}: {}", change.event.type(), change.event.message());
  }
  CheckInvariantsIfOn();
  return absl::OkStatus();
}

absl::Status ClusterCore::FailJob(const base::JobId& job, const absl::Status& error) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, FindJob(job));
  if (HasEnded(state->record.job.state())) return absl::OkStatus();
  JobEdit edit = Edit(*state);
  edit.Fail(error);
  return Apply(std::move(edit));
}

void ClusterCore::TouchWorker(const base::WorkerId& worker) {
  const auto found = state_.workers.find(worker.value());
  if (found != state_.workers.end()) found->second.last_seen = Now();
}

void ClusterCore::NoteGone(const base::WorkerId& worker) {
  const auto found = state_.workers.find(worker.value());
  if (found != state_.workers.end()) found->second.gone = true;
}

void ClusterCore::RenewInMemory(const TaskRecord& task) {
  for (TaskRecord& existing : state_.jobs[task.job.value()].tasks) {
    if (existing.id != task.id) continue;
    if (existing.progress != task.progress) last_progress_[task.job.value()] = Now();
    existing = task;
  }
}

void ClusterCore::NoteReadyTasks(const std::string& job) {
  const JobState& state = state_.jobs.at(job);
  for (const TaskRecord& task : state.tasks) {
    const bool waits = task.state == TaskState::kPending && !HasEnded(state.record.job.state());
    if (waits && InputsReady(state, task)) {
      ready_since_.emplace(TaskKey{task.job, task.id}, std::max(Now(), task.not_before));
    }
  }
}

std::optional<absl::Time> ClusterCore::TakeReadySince(const TaskKey& task) {
  const auto found = ready_since_.find(task);
  if (found == ready_since_.end()) return std::nullopt;
  const absl::Time since = found->second;
  ready_since_.erase(found);
  return since;
}

std::set<std::string> ClusterCore::TakeChangedJobs() { return std::exchange(changed_jobs_, {}); }

bool ClusterCore::HasGrantableTask(const std::set<std::string>& jobs) const {
  return std::any_of(jobs.begin(), jobs.end(), [this](const std::string& id) {
    const auto job = state_.jobs.find(id);
    return job != state_.jobs.end() && coordinator::HasGrantableTask(job->second, policy(), Now());
  });
}

std::set<std::string> ClusterCore::ObjectsOf(const JobState& job, ObjectScope scope) {
  std::set<std::string> objects;
  for (const auto& [key, hessian] : job.hessians) objects.insert(hessian.object().sha256());
  if (scope == ObjectScope::kHessians) return objects;
  for (const auto& [key, matrix] : job.matrices) objects.insert(matrix.result.object().sha256());
  for (const TaskRecord& task : job.tasks) {
    if (!task.shard.sha256().empty()) objects.insert(task.shard.sha256());
  }
  return objects;
}

ClusterSnapshot ClusterCore::Snapshot() const {
  ClusterSnapshot snapshot;
  for (const char* state : {"pending", "running", "succeeded", "failed", "cancelled"}) {
    snapshot.jobs[state] = 0;
    snapshot.layers[state] = 0;
  }
  for (const char* state : {"idle", "busy", "draining", "lost"}) snapshot.workers[state] = 0;
  for (const auto& [id, job] : state_.jobs) {
    const v1::State state = job.record.job.state();
    ++snapshot.jobs[StateName(state)];
    for (const TaskRecord& task : job.tasks) {
      if (task.state == TaskState::kLeased) snapshot.leases += task.rival.has_value() ? 2 : 1;
      if (HasEnded(state) || task.kind != TaskKind::kCompress) continue;
      ++snapshot.layers[StateName(LayerState(job, task))];
    }
    if (HasEnded(state) && EndTime(job) + options_.metrics_retention < Now()) continue;
    const v1::JobProgress progress = ComputeProgress(job, Now());
    const auto last = last_progress_.find(id);
    snapshot.active.push_back({id, progress.ratio(), progress.eta_seconds(),
                               last == last_progress_.end() ? EndTime(job) : last->second});
  }
  for (const auto& [id, worker] : state_.workers) {
    ++snapshot.workers[StateOf(worker)];
    snapshot.last_heartbeats[id] = worker.last_seen;
  }
  return snapshot;
}

void ClusterCore::CheckInvariantsIfOn() const {
  if (options_.invariants == InvariantChecks::kOff) return;
  const absl::Status status = CheckInvariants(state_, policy());
  CALDERA_CHECK(status.ok(), "{}", base::MessageOf(status));
}

std::string StateName(v1::State state) {
  switch (state) {
    case v1::PENDING:
      return "pending";
    case v1::RUNNING:
      return "running";
    case v1::SUCCEEDED:
      return "succeeded";
    case v1::FAILED:
      return "failed";
    case v1::CANCELLED:
      return "cancelled";
    default:
      return "unspecified";
  }
}

}  // namespace caldera::coordinator
