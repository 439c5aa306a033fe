// What workers ask of the core, and what time does to leases. Same thread rule as ClusterCore.
// Objects that requests name have been checked in the store by the caller (layer_shard.h).
#ifndef CALDERA_COORDINATOR_LEASE_DESK_H_
#define CALDERA_COORDINATOR_LEASE_DESK_H_

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/dispatch.pb.h"
#include "coordinator/cluster_core.h"

namespace caldera::coordinator {

// The fence of any request that carries (lease_id, attempt).
template <typename Request>
Fence FenceOf(const Request& request) {
  return {base::LeaseId(request.lease_id()), request.attempt()};
}

// A live lease: copies, so that checks can run outside the lock. The task as its holder sees it
// (leases.h).
struct LeaseView {
  JobRecord job;
  TaskRecord task;
  std::vector<v1::MatrixResult> matrices;  // committed ones of the task's layer
};

class LeaseDesk {
 public:
  // `version` is the coordinator's: workers that registered with another must do so again.
  LeaseDesk(ClusterCore* core, std::string version) : core_(core), version_(std::move(version)) {}

  // A newer incarnation ends the leases of the older one; the same one again changes nothing.
  absl::Status Register(const v1::RegisterRequest& request);

  // A lease, or nullopt when nothing fits now: of a task that nobody has, else of one that runs
  // late elsewhere. A worker that holds a live lease and asks again (its answer was lost) gets the
  // same one. Errors: UNKNOWN_WORKER, STALE_INCARNATION.
  absl::StatusOr<std::optional<v1::Lease>> TryAcquire(const v1::AcquireLeaseRequest& request);

  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request);

  // The task under a fence: STALE_LEASE when it is not the newest or the job has ended. Done tasks
  // are found by their last fence.
  absl::StatusOr<LeaseView> Find(const Fence& fence) const;

  absl::StatusOr<v1::CommitMatrixResponse> CommitMatrix(const v1::CommitMatrixRequest& request);
  absl::Status CommitHessians(const v1::CommitHessiansRequest& request);
  // FAILED_PRECONDITION while matrices, Hessians or the shard are missing.
  absl::Status Complete(const v1::CompleteLeaseRequest& request, const v1::ObjectRef& shard);
  absl::Status Fail(const v1::FailLeaseRequest& request);
  // Frees what the worker holds; until it registers again its calls get STALE_INCARNATION.
  absl::Status Unregister(const v1::UnregisterRequest& request);

  // Ends leases whose time is over, except those being completed right now.
  absl::Status Tick(const std::set<TaskKey>& completing);

 private:
  absl::StatusOr<const WorkerRecord*> FindWorker(const std::string& worker,
                                                 const std::string& incarnation) const;
  // As their holder sees them. A copy: ending one changes the state.
  std::vector<TaskRecord> TasksHeldBy(const base::WorkerId& worker) const;
  // Without blame of the task or the worker.
  absl::Status GiveBack(const TaskRecord& task, const std::string& why);
  absl::Status EndAfterRestart(const TaskRecord& task);
  // An event for each job that is waiting although this worker asks, for want of memory; once.
  absl::Status TellWhoIsTooSmall(const WorkerRecord& worker);
  absl::StatusOr<v1::Lease> GrantTask(const TaskKey& key, const WorkerRecord& worker);
  v1::Lease Describe(const JobState& job, const TaskRecord& task) const;
  // A task as the holder sees it whose lease is over, and why.
  using LapsedLease = std::pair<TaskRecord, LapseReason>;
  void NoteLapse(const TaskRecord& task, std::vector<LapsedLease>* over) const;
  absl::Status LapseTask(const TaskRecord& task, LapseReason reason);
  // Fails the job too when the task must not be tried again; all in one transition.
  absl::Status ApplyFailure(JobEdit edit, const TaskRecord& failed, const absl::Status& error);

  ClusterCore* const core_;
  const std::string version_;
  std::set<std::pair<std::string, std::string>> told_too_small_;  // job, worker
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_LEASE_DESK_H_
