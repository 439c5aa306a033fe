#include "coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "coordinator/coordinator_section.h"
#include "coordinator/estimate.h"
#include "coordinator/job_graph.h"
#include "coordinator/job_quota.h"
#include "coordinator/planner.h"
#include "coordinator/resume.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr int kEventBatch = 64;

absl::Status CheckCreate(const v1::CreateCompressionJobRequest& request) {
  if (!request.job_id().empty()) CALDERA_RETURN_IF_ERROR(CheckJobId(request.job_id()));
  if (!request.request_id().empty()) {
    CALDERA_RETURN_IF_ERROR(CheckUuid(request.request_id(), "request_id"));
  }
  return absl::OkStatus();
}

JobRequest RequestOf(const v1::CreateCompressionJobRequest& request,
                     const std::string& code_version, const std::string& owner) {
  return {request.job_id(), request.request_id(), base::Sha256Hex(request.SerializeAsString()),
          code_version,     request.priority(),   owner};
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, CoordinatorDependencies dependencies,
                         std::unique_ptr<ClusterCore> core)
    : options_(std::move(options)),
      dependencies_(std::move(dependencies)),
      receipts_(dependencies_.store, dependencies_.core.log),
      models_(options_.roots),
      core_(std::move(core)),
      jobs_(core_.get()),
      leases_(core_.get(), options_.version),
      publish_waits_(options_.store_patience) {}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(
    CoordinatorOptions options, CoordinatorDependencies dependencies) {
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<ClusterCore> core,
                           ClusterCore::Open(options.core, dependencies.core));
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(std::move(options), std::move(dependencies), std::move(core)));
  CALDERA_RETURN_IF_ERROR(coordinator->WriteProbe());
  if (CommitQueue* commits = coordinator->dependencies_.commits) {
    commits->SetOnLoss([self = coordinator.get()](const absl::Status& loss) {
      self->dependencies_.core.log.Error("{}", base::MessageOf(loss));
      self->dependencies_.pool->Post([self] {
        {
          base::MutexLock lock(self->mutex_);
          self->lost_ = true;
        }
        self->ReloadAfterLoss();
      });
    });
  }
  // Jobs that were being published when the last coordinator went down go on now.
  Section section(coordinator.get());
  CALDERA_RETURN_IF_ERROR(
      MeetOtherCode(coordinator->options_.code_version, coordinator->core_.get()));
  return coordinator;
}

Coordinator::~Coordinator() {
  if (dependencies_.commits == nullptr) return;
  dependencies_.commits->SetOnLoss(nullptr);
  dependencies_.commits->Drain();
}

absl::StatusOr<v1::CompressionJob> Coordinator::CreateJob(
    const v1::CreateCompressionJobRequest& request, const std::string& owner) {
  CALDERA_RETURN_IF_ERROR(CheckCreate(request));
  const JobRequest job = RequestOf(request, options_.code_version, owner);
  {
    Section section(this);
    CALDERA_ASSIGN_OR_RETURN(const auto repeated, jobs_.FindRepeated(job));
    if (repeated.has_value()) return *repeated;
    CALDERA_RETURN_IF_ERROR(CheckJobQuota(core_->state(), owner, options_.max_open_jobs));
  }
  CALDERA_ASSIGN_OR_RETURN(const JobPlan plan,
                           PlanJob(request.spec(), *dependencies_.store, options_.roots));
  const CommitQueue::Position since = Position();
  v1::CompressionJob created;
  JobRecord record;
  {
    Section section(this);
    if (request.validate_only()) return jobs_.Preview(job, plan);
    // Again: planning takes time, and others of the same owner may have been made meanwhile.
    CALDERA_RETURN_IF_ERROR(CheckJobQuota(core_->state(), owner, options_.max_open_jobs));
    CALDERA_ASSIGN_OR_RETURN(created, jobs_.Insert(job, plan));
    CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(created.name()));
    record = core_->state().jobs.at(id.value()).record;
  }
  LeaveToClerk(since, [this, record, work = plan.work] { receipts_.WriteJob(record, work); });
  return created;
}

absl::StatusOr<v1::CompressionJob> Coordinator::GetJob(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  Section section(this);
  return jobs_.Get(id);
}

absl::StatusOr<v1::EstimateResponse> Coordinator::Estimate(const v1::EstimateRequest& request) {
  model::WorkerSetup usual;
  {
    base::MutexLock lock(mutex_);
    usual = SetupOf(core_->state(), core_->policy(), core_->Now());
  }
  return coordinator::Estimate(request, usual, options_.roots);
}

absl::StatusOr<v1::ListCompressionJobsResponse> Coordinator::ListJobs(
    const v1::ListCompressionJobsRequest& request) {
  Section section(this);
  return jobs_.List(request);
}

absl::StatusOr<v1::CompressionJob> Coordinator::CancelJob(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  Section section(this);
  return jobs_.Cancel(id, past_cancelling_);
}

absl::StatusOr<v1::CompressionJob> Coordinator::ResumeJob(
    const v1::ResumeCompressionJobRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const JobState job, FindJobState(request.name()));
  if (!HasEnded(job.record.job.state())) return GetJob(request.name());
  CALDERA_RETURN_IF_ERROR(CheckResumable(job.record));
  CALDERA_ASSIGN_OR_RETURN(const JobPlan plan, ReplanJob(job.record.job.spec(), options_.roots));
  const OtherVersion other =
      request.accept_version() ? OtherVersion::kAccept : OtherVersion::kRefuse;
  CALDERA_RETURN_IF_ERROR(CheckDrift(job.record, plan, options_.code_version, other));
  CALDERA_ASSIGN_OR_RETURN(const LostWork lost, FindLostWork(job, *dependencies_.store));
  // A store keeps an object that it has, so a damaged one goes before its bytes come again.
  RemoveDamaged(lost.objects);
  Section section(this);
  CALDERA_RETURN_IF_ERROR(
      CheckJobQuota(core_->state(), job.record.job.owner(), options_.max_open_jobs));
  CALDERA_ASSIGN_OR_RETURN(const JobState* now, core_->FindJob(job.record.id));
  // Another call resumed it meanwhile: what was lost then may be there again.
  if (now->record.last_sequence != job.record.last_sequence) return jobs_.Get(job.record.id);
  return jobs_.Resume(job.record.id, options_.code_version, lost);
}

absl::Status Coordinator::DeleteJob(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  const CommitQueue::Position since = Position();
  JobNames objects;
  {
    Section section(this);
    CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
    objects = ClusterCore::ObjectsOf(*job, ClusterCore::ObjectScope::kAll);
    CALDERA_RETURN_IF_ERROR(jobs_.Delete(id));
  }
  // The caller may submit the same again at once: its objects must not go while they are made anew.
  RunOnClerk(since, [this, id, objects] {
    receipts_.Remove(id);
    RemoveUnused(objects);
  });
  return absl::OkStatus();
}

absl::StatusOr<v1::ListLayersResponse> Coordinator::ListLayers(
    const v1::ListLayersRequest& request) {
  Section section(this);
  return jobs_.ListLayers(request);
}

absl::StatusOr<v1::ListWorkersResponse> Coordinator::ListWorkers(
    const v1::ListWorkersRequest& request) {
  Section section(this);
  return jobs_.ListWorkers(request);
}

absl::StatusOr<Coordinator::EventBatch> Coordinator::ReadEvents(const std::string& name,
                                                                std::int64_t after) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  bool ended = false;
  bool stopping = false;
  std::int64_t last = 0;
  {
    base::MutexLock lock(mutex_);
    CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
    ended = HasEnded(job->record.job.state());
    stopping = stopping_;
    last = job->record.last_sequence;
  }
  EventBatch batch;
  CALDERA_ASSIGN_OR_RETURN(batch.events,
                           dependencies_.core.states->ReadEvents(id, after, kEventBatch));
  if (stopping && batch.events.empty()) {
    return base::Unavailable("the coordinator is shutting down: watch again from {}", after);
  }
  batch.ended = ended && (batch.events.empty() ? after : batch.events.back().sequence()) >= last;
  return batch;
}

Coordinator::WaitId Coordinator::AwaitEvents(const std::string& name, std::int64_t after,
                                             std::function<void()> wake) {
  base::MutexLock lock(mutex_);
  const WaitId id = next_wait_++;
  const absl::StatusOr<base::JobId> job = ParseJobName(name);
  const absl::StatusOr<const JobState*> state = job.ok() ? core_->FindJob(*job) : job.status();
  bool now = !state.ok() || stopping_;
  if (!now) {
    const JobRecord& record = (*state)->record;
    const std::int64_t announced = announced_[job->value()];
    now = announced > after || (HasEnded(record.job.state()) && announced >= record.last_sequence);
  }
  // Through the pool even then: the caller may hold locks of its own.
  if (now) {
    dependencies_.pool->Post(std::move(wake));
  } else {
    event_waits_[{job->value(), id}] = std::move(wake);
  }
  return id;
}

absl::StatusOr<LeaseView> Coordinator::FindLease(const Fence& fence) {
  base::MutexLock lock(mutex_);
  return leases_.Find(fence);
}

absl::StatusOr<JobState> Coordinator::FindJobState(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  base::MutexLock lock(mutex_);
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
  return *job;
}

ClusterSnapshot Coordinator::Snapshot() {
  // Outside the lock: a file server that hangs must not hang the coordinator.
  const absl::StatusOr<std::uint64_t> free = dependencies_.store->FreeBytes();
  ClusterSnapshot snapshot;
  {
    base::MutexLock lock(mutex_);
    snapshot = core_->Snapshot();
  }
  snapshot.store_reachable = free.ok() || absl::IsUnimplemented(free.status());
  if (free.ok()) snapshot.store_free_bytes = *free;
  return snapshot;
}

}  // namespace caldera::coordinator
