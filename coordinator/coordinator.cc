#include "coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "coordinator/coordinator_section.h"
#include "coordinator/job_graph.h"
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
                     const std::string& code_version) {
  return {request.job_id(), request.request_id(), base::Sha256Hex(request.SerializeAsString()),
          code_version, request.priority()};
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, CoordinatorDependencies dependencies,
                         std::unique_ptr<ClusterCore> core)
    : options_(std::move(options)),
      dependencies_(std::move(dependencies)),
      receipts_(dependencies_.store, dependencies_.core.log),
      core_(std::move(core)),
      jobs_(core_.get()),
      leases_(core_.get()) {}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(
    CoordinatorOptions options, CoordinatorDependencies dependencies) {
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<ClusterCore> core,
                           ClusterCore::Open(options.core, dependencies.core));
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(std::move(options), std::move(dependencies), std::move(core)));
  CALDERA_RETURN_IF_ERROR(coordinator->WriteProbe());
  // Jobs that were being published when the last coordinator went down go on now.
  Section section(coordinator.get());
  return coordinator;
}

Coordinator::Calls Coordinator::CollectCalls() {
  Calls calls;
  CollectLeaseCalls(&calls);
  CollectPublishCalls(&calls);
  CollectEventCalls(&calls);  // last: giving leases makes events
  return calls;
}

void Coordinator::CollectEventCalls(Calls* calls) {
  const std::set<std::string> changed = core_->TakeChangedJobs();
  for (auto it = event_waits_.begin(); it != event_waits_.end();) {
    if (stopping_ || changed.count(it->second.job) > 0) {
      calls->push_back(std::move(it->second.wake));
      it = event_waits_.erase(it);
    } else {
      ++it;
    }
  }
}

void Coordinator::CollectLeaseCalls(Calls* calls) {
  for (auto it = lease_waits_.begin(); it != lease_waits_.end();) {
    absl::StatusOr<std::optional<v1::Lease>> lease = leases_.TryAcquire(it->second.request);
    const bool over = stopping_ || it->second.deadline <= core_->Now();
    if (lease.ok() && !lease->has_value() && !over) {
      ++it;
      continue;
    }
    absl::StatusOr<v1::AcquireLeaseResponse> response = v1::AcquireLeaseResponse();
    if (!lease.ok()) {
      response = lease.status();
    } else if (lease->has_value()) {
      *response->mutable_lease() = **std::move(lease);
    }
    calls->push_back([done = std::move(it->second.done), response] { done(response); });
    it = lease_waits_.erase(it);
  }
}

void Coordinator::CollectPublishCalls(Calls* calls) {
  if (stopping_) return;
  for (const auto& [id, job] : core_->state().jobs) {
    const bool ready = job.record.job.state() == v1::RUNNING && AllTasksDone(job);
    if (!ready || !publishing_.insert(id).second) continue;
    calls->push_back([this, job_id = job.record.id] {
      dependencies_.pool->Post([this, job_id] { PublishJob(job_id); });
    });
  }
}

absl::StatusOr<v1::CompressionJob> Coordinator::CreateJob(
    const v1::CreateCompressionJobRequest& request) {
  CALDERA_RETURN_IF_ERROR(CheckCreate(request));
  const JobRequest job = RequestOf(request, options_.code_version);
  {
    Section section(this);
    CALDERA_ASSIGN_OR_RETURN(const auto repeated, jobs_.FindRepeated(job));
    if (repeated.has_value()) return *repeated;
  }
  CALDERA_ASSIGN_OR_RETURN(const JobPlan plan, PlanJob(request.spec(), *dependencies_.store));
  v1::CompressionJob created;
  JobRecord record;
  {
    Section section(this);
    if (request.validate_only()) return jobs_.Preview(job, plan);
    CALDERA_ASSIGN_OR_RETURN(created, jobs_.Insert(job, plan));
    CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(created.name()));
    record = core_->state().jobs.at(id.value()).record;
  }
  receipts_.WriteJob(record, plan.work);
  return created;
}

absl::StatusOr<v1::CompressionJob> Coordinator::GetJob(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  Section section(this);
  return jobs_.Get(id);
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
  CALDERA_ASSIGN_OR_RETURN(const JobPlan plan, ReplanJob(job.record.job.spec()));
  const OtherVersion other =
      request.accept_version() ? OtherVersion::kAccept : OtherVersion::kRefuse;
  CALDERA_RETURN_IF_ERROR(CheckDrift(job.record, plan, options_.code_version, other));
  CALDERA_RETURN_IF_ERROR(CheckCommitted(job, *dependencies_.store));
  Section section(this);
  return jobs_.Resume(job.record.id, options_.code_version);
}

absl::Status Coordinator::DeleteJob(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  Section section(this);
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
  const std::vector<std::string> objects =
      core_->ExclusiveObjects(*job, ClusterCore::ObjectScope::kAll);
  CALDERA_RETURN_IF_ERROR(jobs_.Delete(id));
  // Under the lock: between the check that nobody else refers to them and their end, no other job
  // may commit the same bytes.
  RemoveObjects(objects);
  receipts_.Remove(id);
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
  Section section(this);
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
  EventBatch batch;
  CALDERA_ASSIGN_OR_RETURN(batch.events, core_->ReadEvents(id, after, kEventBatch));
  const std::int64_t last = batch.events.empty() ? after : batch.events.back().sequence();
  if (stopping_ && batch.events.empty()) {
    return base::Unavailable("the coordinator is shutting down: watch again from {}", after);
  }
  batch.ended = HasEnded(job->record.job.state()) && last >= job->record.last_sequence;
  return batch;
}

Coordinator::WaitId Coordinator::AwaitEvents(const std::string& name, std::int64_t after,
                                             std::function<void()> wake) {
  Section section(this);
  const WaitId id = next_wait_++;
  const absl::StatusOr<base::JobId> job = ParseJobName(name);
  const absl::StatusOr<const JobState*> state = job.ok() ? core_->FindJob(*job) : job.status();
  const bool now = !state.ok() || stopping_ || (*state)->record.last_sequence > after ||
                   HasEnded((*state)->record.job.state());
  // Through the pool even then: the caller may hold locks of its own.
  if (now) {
    dependencies_.pool->Post(std::move(wake));
  } else {
    event_waits_[id] = {job->value(), after, std::move(wake)};
  }
  return id;
}

void Coordinator::StopWaiting(WaitId id) {
  base::MutexLock lock(mutex_);
  lease_waits_.erase(id);
  event_waits_.erase(id);
}

void Coordinator::Tick() {
  Section section(this);
  const absl::Status status = leases_.Tick(completing_);
  if (!status.ok()) core_->log().Error("tick: {}", base::MessageOf(status));
}

void Coordinator::BeginShutdown() {
  Section section(this);
  stopping_ = true;
}

absl::StatusOr<LeaseView> Coordinator::FindLease(const Fence& fence) {
  Section section(this);
  return leases_.Find(fence);
}

absl::StatusOr<JobState> Coordinator::FindJobState(const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(name));
  Section section(this);
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
  return *job;
}

ClusterSnapshot Coordinator::Snapshot() {
  Section section(this);
  return core_->Snapshot();
}

void Coordinator::RemoveObjects(const std::vector<std::string>& objects) {
  for (const std::string& object : objects) {
    const absl::Status status = dependencies_.store->RemoveObject(object);
    if (!status.ok() && status.code() != absl::StatusCode::kNotFound) {
      dependencies_.core.log.Warning("removing object {}: {}", object, base::MessageOf(status));
    }
  }
}

}  // namespace caldera::coordinator
