// Coordinator: the workers' calls, and what they lead to (shards, publishing).
#include <algorithm>
#include <utility>

#include "common/base/retry.h"
#include "common/base/status.h"
#include "coordinator/coordinator.h"
#include "coordinator/coordinator_section.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"
#include "coordinator/layer_shard.h"
#include "coordinator/object_source.h"
#include "coordinator/publisher.h"

namespace caldera::coordinator {
namespace {

constexpr char kProbeKey[] = "probe/coordinator";

// The object exists with that size, or INVALID_ARGUMENT.
absl::Status CheckObject(const v1::ObjectRef& object, const store::CheckpointStore& store) {
  const absl::StatusOr<store::ObjectInfo> info = store.StatObject(object.sha256());
  if (!info.ok()) return info.status();
  if (static_cast<std::int64_t>(info->size) == object.size()) return absl::OkStatus();
  return base::InvalidArgument("object {} has {} bytes, not {}", object.sha256(), info->size,
                               object.size());
}

// An object that was there when the worker had it stored may have gone with another job that had
// the same bytes: ABORTED, and the next attempt makes it again.
absl::Status GoneIsAborted(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return base::Aborted("{}: it is to be made again", base::MessageOf(status));
}

}  // namespace

absl::Status Coordinator::WriteProbe() {
  probe_content_ = base::NewUuid(dependencies_.core.entropy);
  return dependencies_.store->WriteKey(kProbeKey, probe_content_);
}

absl::StatusOr<v1::RegisterResponse> Coordinator::Register(const v1::RegisterRequest& request) {
  if (request.version() != options_.version) {
    return WithReason(
        base::FailedPrecondition(
            "worker {} is version \"{}\" and this coordinator \"{}\": both must be the same, or "
            "the bytes of a checkpoint would depend on who made them",
            request.worker_id(), request.version(), options_.version),
        kReasonVersionMismatch);
  }
  Section section(this);
  CALDERA_RETURN_IF_ERROR(leases_.Register(request));
  ServeAfresh(request.worker_id());
  v1::RegisterResponse response;
  response.set_store_uri(dependencies_.store->uri());
  response.set_probe_key(kProbeKey);
  response.set_probe_content(probe_content_);
  response.set_heartbeat_milliseconds(
      static_cast<int>(absl::ToInt64Milliseconds(core_->policy().heartbeat)));
  SetTimestamp(core_->Now(), response.mutable_coordinator_time());
  return response;
}

Coordinator::WaitId Coordinator::AcquireLease(const v1::AcquireLeaseRequest& request,
                                              AcquireDone done) {
  // Leaving the section serves the wait at once when there is work, or when it has no time to wait.
  Section section(this);
  const WaitId id = next_wait_++;
  const absl::Duration wait = std::clamp(absl::Seconds(request.wait_seconds()),
                                         absl::ZeroDuration(), options_.longest_wait);
  lease_waits_[id] = {request, core_->Now() + wait, std::move(done)};
  fresh_waits_.insert(id);
  return id;
}

absl::StatusOr<v1::HeartbeatResponse> Coordinator::Heartbeat(const v1::HeartbeatRequest& request) {
  Section section(this);
  return leases_.Heartbeat(request);
}

absl::StatusOr<v1::CommitMatrixResponse> Coordinator::CommitMatrix(
    const v1::CommitMatrixRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, FindLease(FenceOf(request)));
  const absl::Time start = dependencies_.core.clock->Now();
  CALDERA_ASSIGN_OR_RETURN(const auto model, models_.Open(view.job.job));
  CALDERA_ASSIGN_OR_RETURN(const int projection, ProjectionIndex(request.matrix().projection()));
  MatrixExpectation expected{view.task.index, &model->config, view.job.job.spec().decomposition()};
  expected.decomposition.set_q_bits(QBitsOf(view.job.job.spec(), view.task, projection));
  const Pins pins(this, {request.matrix().object().sha256()});
  CALDERA_RETURN_IF_ERROR(pins.status());
  CALDERA_RETURN_IF_ERROR(
      GoneIsAborted(CheckMatrixObject(request.matrix(), expected, *dependencies_.store)));
  const CommitQueue::Position since = Position();
  absl::StatusOr<v1::CommitMatrixResponse> response;
  MatrixRecord committed;
  {
    Section section(this);
    response = leases_.CommitMatrix(request);
    CALDERA_RETURN_IF_ERROR(response.status());
    committed =
        core_->state().jobs.at(view.job.id.value()).matrices.at({view.task.index, projection});
  }
  if (response->already_committed()) return response;
  LeaveToClerk(since, [this, job = view.job.id, layer = view.task.index, committed] {
    receipts_.WriteMatrix(job, layer, committed);
  });
  observer().StoreBytesWritten(static_cast<std::uint64_t>(request.matrix().object().size()));
  observer().StoreCommitTook(absl::ToDoubleSeconds(dependencies_.core.clock->Now() - start));
  return response;
}

absl::Status Coordinator::CommitHessians(const v1::CommitHessiansRequest& request) {
  std::vector<std::string> objects;
  for (const v1::HessianRef& hessian : request.hessians()) {
    objects.push_back(hessian.object().sha256());
  }
  const Pins pins(this, objects);
  CALDERA_RETURN_IF_ERROR(pins.status());
  for (const v1::HessianRef& hessian : request.hessians()) {
    CALDERA_RETURN_IF_ERROR(GoneIsAborted(CheckObject(hessian.object(), *dependencies_.store)));
  }
  const CommitQueue::Position since = Position();
  base::JobId job;
  std::map<std::pair<int, int>, std::vector<v1::HessianRef>> committed;  // by layer and range
  {
    Section section(this);
    CALDERA_RETURN_IF_ERROR(leases_.CommitHessians(request));
    CALDERA_ASSIGN_OR_RETURN(const LeaseView view, leases_.Find(FenceOf(request)));
    job = view.job.id;
    const JobState& state = core_->state().jobs.at(job.value());
    for (const v1::HessianRef& hessian : request.hessians()) {
      // What was committed first stands, whatever this request named.
      committed[{hessian.layer(), hessian.range()}].push_back(state.hessians.at(KeyOf(hessian)));
    }
  }
  LeaveToClerk(since, [this, job, committed] {
    for (const auto& [place, hessians] : committed) receipts_.WriteHessians(job, hessians);
  });
  return absl::OkStatus();
}

absl::StatusOr<v1::ObjectRef> Coordinator::MakeShard(const LeaseView& view,
                                                     const v1::CompleteLeaseRequest& request) {
  if (view.task.kind == TaskKind::kCalibrate || view.task.kind == TaskKind::kProbe) {
    return v1::ObjectRef();
  }
  if (view.task.kind == TaskKind::kEmbeddings) {
    CALDERA_RETURN_IF_ERROR(GoneIsAborted(
        OpenSafetensorsObject(dependencies_.store, request.shard().sha256()).status()));
    return request.shard();
  }
  return AssembleShard(view);
}

absl::StatusOr<v1::ObjectRef> Coordinator::AssembleShard(const LeaseView& view) {
  if (static_cast<int>(view.matrices.size()) != model::kProjectionCount) {
    return base::FailedPrecondition("{}: {} of {} matrices are committed", view.task.id,
                                    view.matrices.size(), model::kProjectionCount);
  }
  CALDERA_ASSIGN_OR_RETURN(const auto model, models_.Open(view.job.job));
  const std::string label = "shard-" + view.task.fence.lease.value();
  const LayerShardInputs inputs{view.task.index, view.matrices, model.get(), label};
  const absl::StatusOr<store::ObjectInfo> shard = AssembleLayerShard(inputs, dependencies_.store);
  if (!shard.ok()) {
    const absl::Status error = base::WithContext(
        shard.status(), fmt::format("assembling the shard of layer {}", view.task.index));
    (void)dependencies_.store->RemoveStaging(label);
    if (absl::IsDataLoss(error)) observer().StoreVerifyFailed();
    // Another attempt may not meet it; the cap on failures ends a store that stays full.
    if (!base::IsRetryableWork(error)) FailJob(view.job.id, error);
    return error;
  }
  observer().StoreBytesWritten(shard->size);
  v1::ObjectRef object;
  object.set_sha256(shard->sha256);
  object.set_size(static_cast<std::int64_t>(shard->size));
  return object;
}

absl::Status Coordinator::CompleteLease(const v1::CompleteLeaseRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, FindLease(FenceOf(request)));
  if (view.task.state == TaskState::kDone) return absl::OkStatus();
  const TaskKey key{view.task.job, view.task.id};
  {
    base::MutexLock lock(mutex_);
    // The first call outlasted the caller's deadline, or was sent twice.
    if (!completing_.insert(key).second) {
      return base::Unavailable("{} of job {} is being completed", key.task, key.job.value());
    }
  }
  const absl::Status status = FinishTask(view, request);
  base::MutexLock lock(mutex_);
  completing_.erase(key);
  return status;
}

absl::Status Coordinator::FinishTask(const LeaseView& view,
                                     const v1::CompleteLeaseRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const v1::ObjectRef shard, MakeShard(view, request));
  if (shard.sha256().empty()) {
    Section section(this);
    return leases_.Complete(request, shard);
  }
  const Pins pins(this, {shard.sha256()});
  CALDERA_RETURN_IF_ERROR(pins.status());
  CALDERA_RETURN_IF_ERROR(GoneIsAborted(CheckObject(shard, *dependencies_.store)));
  Section section(this);
  return leases_.Complete(request, shard);
}

absl::Status Coordinator::FailLease(const v1::FailLeaseRequest& request) {
  Section section(this);
  return leases_.Fail(request);
}

absl::Status Coordinator::Unregister(const v1::UnregisterRequest& request) {
  Section section(this);
  const absl::Status status = leases_.Unregister(request);
  ServeAfresh(request.worker_id());
  return status;
}

void Coordinator::FailJob(const base::JobId& job, const absl::Status& error) {
  Section section(this);
  const absl::Status status = core_->FailJob(job, error);
  if (!status.ok()) core_->log().Error("failing job {}: {}", job.value(), base::MessageOf(status));
}

void Coordinator::PublishJob(const base::JobId& job) {
  absl::StatusOr<JobState> state = FindJobState(JobName(job));
  if (!state.ok()) return;
  std::map<std::string, WorkerRecord> workers;
  {
    Section section(this);
    workers = core_->state().workers;
  }
  // Again: a symbolic link on its way may be another one since the job was made.
  const absl::Status place = options_.roots.CheckUri(state->record.job.spec().output_uri());
  const auto model = place.ok() ? models_.Open(state->record.job) : place;
  absl::StatusOr<v1::JobResult> result = v1::JobResult();
  if (!model.ok()) {
    result = model.status();
  } else {
    const PublishInputs inputs{&*state, model->get(), &workers, options_.version,
                               [this, job] { return BeginManifest(job); }};
    result = PublishCheckpoint(inputs, dependencies_.store);
  }
  if (result.ok()) {
    FinishJob(job, *result);
    return;
  }
  if (base::IsRetryableWork(result.status()) && PostponePublishing(job, result.status())) return;
  if (result.status().code() == absl::StatusCode::kDataLoss) observer().StoreVerifyFailed();
  const CommitQueue::Position since = Position();
  FailJob(job, base::WithContext(result.status(), "publishing"));
  LeavePublishing(job, since);
}

bool Coordinator::PostponePublishing(const base::JobId& job, const absl::Status& error) {
  Section section(this);
  const absl::StatusOr<const JobState*> state = core_->FindJob(job);
  if (!state.ok() || HasEnded((*state)->record.job.state())) return false;
  if (!publish_waits_.Postpone(job.value(), core_->Now())) return false;
  publishing_.erase(job.value());
  past_cancelling_.erase(job.value());
  JobEdit edit = core_->Edit(**state);
  edit.Emit({.type = "job.waiting", .message = "publishing waits: " + base::MessageOf(error)});
  const absl::Status told = core_->Apply(std::move(edit));
  if (!told.ok()) core_->log().Warning("{}: {}", job.value(), base::MessageOf(told));
  return true;
}

void Coordinator::LeavePublishing(const base::JobId& job, CommitQueue::Position since) {
  Calls calls;
  calls.push_back([this, job](const absl::Status& durable) {
    base::MutexLock lock(mutex_);
    past_cancelling_.erase(job.value());
    const absl::StatusOr<const JobState*> state = core_->FindJob(job);
    const bool ended = !state.ok() || HasEnded((*state)->record.job.state());
    if (durable.ok() && ended) {
      publishing_.erase(job.value());
      publish_waits_.Forget(job.value());
    } else {
      unfinished_.insert(job.value());
    }
  });
  RunWhenDurable(since, std::move(calls));
}

absl::Status Coordinator::BeginManifest(const base::JobId& job) {
  Section section(this);
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, core_->FindJob(job));
  if (HasEnded(state->record.job.state())) {
    return base::Cancelled("job {} has ended", JobName(job));
  }
  past_cancelling_.insert(job.value());
  return absl::OkStatus();
}

Coordinator::JobNames Coordinator::Succeed(const JobState& job, const v1::JobResult& result) {
  JobNames hessians;
  JobEdit edit = core_->Edit(job);
  if (!job.record.job.spec().keep_hessians()) {
    hessians = ClusterCore::ObjectsOf(job, ClusterCore::ObjectScope::kHessians);
    edit.ForgetHessians();
  }
  edit.SetResult(result);
  edit.SetState(v1::SUCCEEDED);
  edit.Emit({.type = "job.succeeded",
             .message = fmt::format("{:.3f} bits per weight, mean relative error {:.4f}",
                                    result.bits_per_weight(), result.mean_relative_error())});
  const absl::Status status = core_->Apply(std::move(edit));
  if (status.ok()) return hessians;
  core_->log().Error("finishing job {}: {}", job.record.id.value(), base::MessageOf(status));
  return {};
}

void Coordinator::FinishJob(const base::JobId& job, const v1::JobResult& result) {
  const CommitQueue::Position since = Position();
  JobNames hessians;
  {
    Section section(this);
    const absl::StatusOr<const JobState*> state = core_->FindJob(job);
    if (state.ok()) hessians = Succeed(**state, result);
  }
  LeaveToClerk(since, [this, hessians] { RemoveUnused(hessians); });
  LeavePublishing(job, since);
}

}  // namespace caldera::coordinator
