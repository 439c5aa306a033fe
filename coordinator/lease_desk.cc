#include "coordinator/lease_desk.h"

#include <utility>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

int LayerOf(const TaskRecord& task) { return task.kind == TaskKind::kCompress ? task.index : -1; }

// "" without a rival.
std::string BesideWhom(const TaskRecord& task) {
  if (!task.rival.has_value()) return "";
  return fmt::format(" beside attempt {} of {}, which runs late", task.rival->fence.attempt,
                     task.rival->worker.value());
}

absl::Time AvailableUntil(const v1::AcquireLeaseRequest& request) {
  if (!request.has_available_until()) return absl::InfiniteFuture();
  return absl::FromUnixSeconds(request.available_until().seconds());
}

}  // namespace

absl::StatusOr<const WorkerRecord*> LeaseDesk::FindWorker(const std::string& worker,
                                                          const std::string& incarnation) const {
  const auto found = core_->state().workers.find(worker);
  if (found == core_->state().workers.end()) {
    return WithReason(base::NotFound("worker \"{}\" is not registered", worker),
                      kReasonUnknownWorker);
  }
  if (found->second.version != version_) {
    return WithReason(base::NotFound("worker {} registered with version {}, this is {}", worker,
                                     found->second.version, version_),
                      kReasonUnknownWorker);
  }
  if (found->second.incarnation != incarnation) {
    return WithReason(
        base::FailedPrecondition("worker {} was started again: this incarnation is over", worker),
        kReasonStaleIncarnation);
  }
  if (found->second.gone) {
    return WithReason(base::FailedPrecondition("worker {} has unregistered", worker),
                      kReasonStaleIncarnation);
  }
  return &found->second;
}

absl::Status LeaseDesk::Register(const v1::RegisterRequest& request) {
  if (request.worker_id().empty() || request.incarnation().empty()) {
    return ViolationsToStatus({{"worker_id", "worker_id and incarnation are required"}});
  }
  const auto existing = core_->state().workers.find(request.worker_id());
  const bool restarted = existing != core_->state().workers.end() &&
                         existing->second.incarnation != request.incarnation();
  if (restarted) {
    for (const TaskRecord& task : TasksHeldBy(existing->second.id)) {
      CALDERA_RETURN_IF_ERROR(EndAfterRestart(task));
    }
  }
  WorkerRecord worker;
  worker.id = base::WorkerId(request.worker_id());
  worker.incarnation = request.incarnation();
  worker.version = request.version();
  worker.ranks = request.ranks();
  worker.threads_per_rank = request.threads_per_rank();
  worker.memory_bytes = request.memory_bytes();
  worker.host = request.host();
  worker.last_seen = core_->Now();
  Transition transition;
  transition.workers.push_back(worker);
  return core_->ApplyTransition(transition);
}

absl::Status LeaseDesk::Unregister(const v1::UnregisterRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const WorkerRecord* worker,
                           FindWorker(request.worker_id(), request.incarnation()));
  core_->NoteGone(worker->id);
  for (const TaskRecord& task : TasksHeldBy(worker->id)) {
    CALDERA_RETURN_IF_ERROR(GiveBack(task, fmt::format("worker {} has left", request.worker_id())));
  }
  return absl::OkStatus();
}

std::vector<TaskRecord> LeaseDesk::TasksHeldBy(const base::WorkerId& worker) const {
  std::vector<TaskRecord> held;
  for (const auto& [id, job] : core_->state().jobs) {
    for (const TaskRecord& task : job.tasks) {
      if (const Fence* fence = FenceOfHolder(task, worker)) held.push_back(SeenBy(task, *fence));
    }
  }
  return held;
}

absl::Status LeaseDesk::GiveBack(const TaskRecord& task, const std::string& why) {
  JobEdit edit = core_->Edit(core_->state().jobs.at(task.job.value()));
  edit.PutTask(Release(task), task.fence);
  edit.Emit({.type = "lease.released",
             .message = fmt::format("{}: {}", task.id, why),
             .layer = LayerOf(task)});
  core_->observer().AttemptEnded(task.kind, "released");
  return core_->Apply(std::move(edit));
}

absl::Status LeaseDesk::EndAfterRestart(const TaskRecord& task) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(task.job));
  // The crash counts towards the poison cap: a unit that kills its worker must end somewhere.
  TaskRecord released = Release(task);
  ++released.failures;
  released.last_error = fmt::format("worker {} restarted", task.worker.value());
  JobEdit edit = core_->Edit(*job);
  edit.PutTask(released, task.fence);
  edit.Emit({.type = "lease.ended",
             .message = fmt::format("{}: {}", task.id, released.last_error),
             .layer = LayerOf(task)});
  core_->observer().AttemptEnded(task.kind, "released");
  return ApplyFailure(std::move(edit), released, base::Aborted("{}", released.last_error));
}

absl::StatusOr<std::optional<v1::Lease>> LeaseDesk::TryAcquire(
    const v1::AcquireLeaseRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const WorkerRecord* worker,
                           FindWorker(request.worker_id(), request.incarnation()));
  core_->TouchWorker(worker->id);
  if (const std::optional<TaskRecord> held = core_->HeldTask(worker->id)) {
    core_->RenewInMemory(Renew(*held, held->progress, core_->policy(), core_->Now()));
    return std::optional(Describe(core_->state().jobs.at(held->job.value()), *held));
  }
  const WorkRequest wanted{worker->id, AvailableUntil(request), worker->memory_bytes};
  std::optional<TaskKey> key = PickTask(core_->state(), wanted, core_->policy(), core_->Now());
  if (!key.has_value()) {
    key = PickStraggler(core_->state(), wanted, core_->policy(), core_->Now());
  }
  if (!key.has_value()) {
    CALDERA_RETURN_IF_ERROR(TellWhoIsTooSmall(*worker));
    return std::optional<v1::Lease>();
  }
  CALDERA_ASSIGN_OR_RETURN(v1::Lease lease, GrantTask(*key, *worker));
  return std::optional(std::move(lease));
}

absl::Status LeaseDesk::TellWhoIsTooSmall(const WorkerRecord& worker) {
  constexpr double kGibibyte = 1 << 30;
  std::vector<const JobState*> waiting;
  for (const auto& [id, job] : core_->state().jobs) {
    if (HasEnded(job.record.job.state())) continue;
    if (HasMemoryFor(job.record, worker.memory_bytes, core_->policy())) continue;
    if (told_too_small_.insert({id, worker.id.value()}).second) waiting.push_back(&job);
  }
  for (const JobState* job : waiting) {
    JobEdit edit = core_->Edit(*job);
    edit.Emit({.type = "job.waiting",
               .message = fmt::format(
                   "worker {} has {:.2f} GiB of memory, a task needs {:.2f}", worker.id.value(),
                   static_cast<double>(worker.memory_bytes) / kGibibyte,
                   static_cast<double>(job->record.job.worker_memory_bytes()) / kGibibyte)});
    CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Lease> LeaseDesk::GrantTask(const TaskKey& key, const WorkerRecord& worker) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(key.job));
  const TaskRecord* task = FindTask(*job, key.task);
  const LeaseHolder holder{worker.id, worker.incarnation, base::LeaseId(core_->NewId())};
  const bool second = task->state == TaskState::kLeased;
  TaskRecord granted = second ? GrantRival(*task, holder, core_->policy(), core_->Now())
                              : Grant(*task, holder, core_->policy(), core_->Now());
  const std::optional<absl::Time> ready = core_->TakeReadySince(key);
  JobEdit edit = core_->Edit(*job);
  if (job->record.job.state() == v1::PENDING) {
    edit.SetState(v1::RUNNING);
    edit.Emit({.type = "job.running", .message = "first lease given"});
  }
  edit.PutTask(granted, second ? std::optional(task->fence) : std::nullopt);
  granted = SeenBy(std::move(granted), {holder.lease, granted.attempts});
  edit.Emit({.type = "lease.granted",
             .message = fmt::format("{} attempt {} to {}{}", granted.id, granted.fence.attempt,
                                    worker.id.value(), BesideWhom(granted)),
             .layer = LayerOf(granted)});
  CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  if (ready.has_value()) {
    core_->observer().QueueWaited(std::max(0.0, absl::ToDoubleSeconds(core_->Now() - *ready)));
  }
  return Describe(core_->state().jobs.at(key.job.value()), granted);
}

v1::Lease LeaseDesk::Describe(const JobState& job, const TaskRecord& task) const {
  v1::Lease lease;
  lease.set_lease_id(task.fence.lease.value());
  lease.set_attempt(task.fence.attempt);
  lease.set_job(JobName(job.record.id));
  *lease.mutable_spec() = job.record.job.spec();
  *lease.mutable_task() = DescribeTask(job, task);
  SetTimestamp(task.deadline, lease.mutable_deadline());
  lease.set_model_sha256(job.record.job.model().sha256());
  lease.set_calibration_sha256(job.record.calibration_sha256);
  return lease;
}

absl::StatusOr<v1::HeartbeatResponse> LeaseDesk::Heartbeat(const v1::HeartbeatRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const WorkerRecord* worker,
                           FindWorker(request.worker_id(), request.incarnation()));
  core_->TouchWorker(worker->id);
  v1::HeartbeatResponse response;
  response.set_directive(v1::HeartbeatResponse::CONTINUE);
  SetTimestamp(core_->Now() + core_->policy().lease, response.mutable_deadline());
  SetTimestamp(core_->Now(), response.mutable_coordinator_time());
  if (request.lease_id().empty()) return response;
  const Fence fence = FenceOf(request);
  const TaskRecord* task = core_->FindTaskOf(fence);
  if (task == nullptr || !Holds(*task, fence)) {
    response.set_directive(v1::HeartbeatResponse::CANCEL);
    return response;
  }
  TaskRecord renewed =
      Renew(SeenBy(*task, fence), request.progress(), core_->policy(), core_->Now());
  renewed.status = request.status();
  if (task->state == TaskState::kLapsed) {
    JobEdit edit = core_->Edit(core_->state().jobs.at(task->job.value()));
    edit.PutTask(renewed, task->fence);
    edit.Emit({.type = "lease.revived",
               .message = fmt::format("{}: {} came back", task->id, worker->id.value()),
               .layer = LayerOf(*task)});
    CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  } else {
    // In the order that users were shown before.
    core_->RenewInMemory(SeenBy(std::move(renewed), task->fence));
  }
  return response;
}

absl::StatusOr<LeaseView> LeaseDesk::Find(const Fence& fence) const {
  const TaskRecord* task = core_->FindTaskOf(fence);
  if (task == nullptr) {
    return WithReason(base::FailedPrecondition("lease {} attempt {} is stale", fence.lease.value(),
                                               fence.attempt),
                      kReasonStaleLease);
  }
  CALDERA_RETURN_IF_ERROR(CheckFence(*task, fence));
  const JobState& job = core_->state().jobs.at(task->job.value());
  LeaseView view{job.record, SeenBy(*task, fence), {}};
  if (task->kind != TaskKind::kCompress) return view;
  for (auto it = job.matrices.lower_bound({task->index, 0});
       it != job.matrices.end() && it->first.first == task->index; ++it) {
    view.matrices.push_back(it->second.result);
  }
  return view;
}

absl::Status LeaseDesk::Fail(const v1::FailLeaseRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, Find(FenceOf(request)));
  const absl::Status error = rpc::FromProto(request.error());
  if (error.ok()) return ViolationsToStatus({{"error", "must not be OK"}});
  if (view.task.state == TaskState::kDone) return absl::OkStatus();
  // A worker that drains gives its unit back; that says nothing about the unit.
  if (error.code() == absl::StatusCode::kCancelled) {
    return GiveBack(view.task, base::MessageOf(error));
  }
  JobEdit edit = core_->Edit(core_->state().jobs.at(view.task.job.value()));
  const TaskRecord failed = coordinator::Fail(view.task, error, core_->policy(), core_->Now());
  edit.PutTask(failed, view.task.fence);
  edit.Emit(
      {.type = "task.failed",
       .message = fmt::format("{} attempt {} on {}: {}", view.task.id, view.task.fence.attempt,
                              view.task.worker.value(), base::MessageOf(error)),
       .layer = LayerOf(view.task)});
  core_->observer().AttemptEnded(view.task.kind, "failed");
  return ApplyFailure(std::move(edit), failed, error);
}

absl::Status LeaseDesk::ApplyFailure(JobEdit edit, const TaskRecord& failed,
                                     const absl::Status& error) {
  // While another holder is at work the unit has not failed everywhere.
  const bool over = failed.state != TaskState::kLeased;
  const bool give_up =
      IsPermanent(error) ||
      (over && (IsPoisoned(failed, core_->policy()) ||
                FailedEverywhere(core_->state(), failed, core_->policy(), core_->Now())));
  if (give_up) edit.Fail(base::WithContext(error, failed.id));
  CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  if (give_up) core_->observer().TaskExhausted(failed.kind);
  return absl::OkStatus();
}

void LeaseDesk::NoteLapse(const TaskRecord& task, std::vector<LapsedLease>* over) const {
  const auto reason = FindLapse(task, core_->policy(), core_->Now());
  if (reason.has_value()) over->emplace_back(task, *reason);
}

absl::Status LeaseDesk::Tick(const std::set<TaskKey>& completing) {
  // Collected first: ending one changes the maps that are walked here.
  std::vector<LapsedLease> over;
  for (const auto& [id, job] : core_->state().jobs) {
    for (const TaskRecord& task : job.tasks) {
      if (task.state != TaskState::kLeased || completing.count({task.job, task.id}) > 0) continue;
      NoteLapse(task, &over);
      if (task.rival.has_value()) NoteLapse(SeenBy(task, task.rival->fence), &over);
    }
  }
  for (const auto& [task, reason] : over) CALDERA_RETURN_IF_ERROR(LapseTask(task, reason));
  return absl::OkStatus();
}

absl::Status LeaseDesk::LapseTask(const TaskRecord& task, LapseReason reason) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(task.job));
  // An earlier lapse of this tick may have failed the job and released the task.
  const TaskRecord* current = FindTask(*job, task.id);
  if (!Holds(*current, task.fence)) return absl::OkStatus();
  const TaskRecord lapsed = Lapse(SeenBy(*current, task.fence), reason, core_->Now());
  JobEdit edit = core_->Edit(*job);
  edit.PutTask(lapsed, task.fence);
  edit.Emit(
      {.type = "lease.expired",
       .message = fmt::format("{} attempt {}: {}", task.id, task.fence.attempt, lapsed.last_error),
       .layer = LayerOf(task)});
  core_->observer().LeaseExpired();
  core_->observer().AttemptEnded(task.kind, "expired");
  return ApplyFailure(std::move(edit), lapsed, base::Aborted("{}", lapsed.last_error));
}

}  // namespace caldera::coordinator
