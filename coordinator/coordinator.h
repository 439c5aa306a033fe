// The coordinator: core, store and publisher behind one mutex, without a gRPC type. Services
// convert and call; tests call it directly with a ManualClock.
//
// Thread rule: every method from any thread. Long work (planning, shard assembly, publishing, the
// store's I/O) runs outside the mutex; callbacks run outside it too, on the thread that caused them
// or that made them durable, and must not block.
//
// With a commit queue a method returns before its change is durable: whoever answers for it awaits
// the queue first (reactors.h). Callbacks, receipts, publishing and removals wait by themselves.
#ifndef CALDERA_COORDINATOR_COORDINATOR_H_
#define CALDERA_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/cluster_core.h"
#include "coordinator/commit_queue.h"
#include "coordinator/coordinator_options.h"
#include "coordinator/job_desk.h"
#include "coordinator/lease_desk.h"
#include "coordinator/model_cache.h"
#include "coordinator/publish_waits.h"
#include "coordinator/receipts.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

class Coordinator {
 public:
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(CoordinatorOptions options,
                                                           CoordinatorDependencies dependencies);
  ~Coordinator();

  // --- Users. Errors as compression.proto says, with details.
  // Plans first: takes as long as tokenising the text. `owner` is the caller's name
  // (access_guard.h); RESOURCE_EXHAUSTED when he has max_open_jobs.
  absl::StatusOr<v1::CompressionJob> CreateJob(const v1::CreateCompressionJobRequest& request,
                                               const std::string& owner = "");
  absl::StatusOr<v1::CompressionJob> GetJob(const std::string& name);
  // Reads the headers of the model.
  absl::StatusOr<v1::EstimateResponse> Estimate(const v1::EstimateRequest& request);
  absl::StatusOr<v1::ListCompressionJobsResponse> ListJobs(
      const v1::ListCompressionJobsRequest& request);
  absl::StatusOr<v1::CompressionJob> CancelJob(const std::string& name);
  // Plans again first, to see whether anything has drifted.
  absl::StatusOr<v1::CompressionJob> ResumeJob(const v1::ResumeCompressionJobRequest& request);
  // Returns when the objects that only this job had are gone.
  absl::Status DeleteJob(const std::string& name);
  absl::StatusOr<v1::ListLayersResponse> ListLayers(const v1::ListLayersRequest& request);
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const v1::ListWorkersRequest& request);

  // Events after a sequence number; `ended`: the job has ended and these are the last.
  struct EventBatch {
    std::vector<v1::JobEvent> events;
    bool ended = false;
  };
  absl::StatusOr<EventBatch> ReadEvents(const std::string& name, std::int64_t after);
  // Calls `wake` once, when there are events after `after` or the job is gone; at once when so now.
  using WaitId = std::uint64_t;
  WaitId AwaitEvents(const std::string& name, std::int64_t after, std::function<void()> wake);

  // --- Workers.
  absl::StatusOr<v1::RegisterResponse> Register(const v1::RegisterRequest& request);
  // Answers by `done`, once: with a lease, or without one after the wait.
  using AcquireDone = std::function<void(absl::StatusOr<v1::AcquireLeaseResponse>)>;
  WaitId AcquireLease(const v1::AcquireLeaseRequest& request, AcquireDone done);
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request);
  absl::StatusOr<v1::CommitMatrixResponse> CommitMatrix(const v1::CommitMatrixRequest& request);
  absl::Status CommitHessians(const v1::CommitHessiansRequest& request);
  // Assembles the layer's shard before it answers; UNAVAILABLE while another call does so.
  absl::Status CompleteLease(const v1::CompleteLeaseRequest& request);
  absl::Status FailLease(const v1::FailLeaseRequest& request);
  absl::Status Unregister(const v1::UnregisterRequest& request);  // answers its AcquireLease too

  // Drops a waiting AwaitEvents or AcquireLease whose caller has gone; its callback is not called
  // afterwards unless it was already on its way.
  void StopWaiting(WaitId id);

  // --- Time: expiries, backoffs, ends of long polls. Call it about once a second.
  void Tick();
  // Answers every waiting call: AcquireLease without a lease, watchers with UNAVAILABLE.
  void BeginShutdown();
  // Blocks until receipts are written and objects removed that earlier calls left behind.
  void DrainReceipts();

  // --- For the other services.
  absl::StatusOr<LeaseView> FindLease(const Fence& fence);
  absl::StatusOr<JobState> FindJobState(const std::string& name);
  ClusterSnapshot Snapshot();
  store::CheckpointStore& store() { return *dependencies_.store; }
  ModelCache& models() { return models_; }
  const base::AllowedRoots& roots() const { return options_.roots; }
  Observer& observer() { return *dependencies_.core.observer; }

 private:
  struct LeaseWait {
    v1::AcquireLeaseRequest request;
    absl::Time deadline;
    AcquireDone done;
  };
  // Holds the mutex; on release serves waiters, starts publishing, and calls callbacks unlocked.
  class Section;
  // Keeps objects from removal while they are about to be committed.
  class Pins;
  // With OK once what led to the call is durable, else with what became of it.
  using Calls = std::vector<std::function<void(const absl::Status&)>>;
  using JobNames = std::set<std::string>;

  Coordinator(CoordinatorOptions options, CoordinatorDependencies dependencies,
              std::unique_ptr<ClusterCore> core);
  absl::Status WriteProbe();

  Calls CollectCalls() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectLeaseCalls(const JobNames& changed, Calls* calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TryWait(WaitId id, Calls* calls) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the worker waits for is looked at again when the section ends.
  void ServeAfresh(const std::string& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectPublishCalls(const JobNames& changed, Calls* calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectEventCalls(const JobNames& changed, Calls* calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Events of these jobs are durable up to their sequence number; -1: the job is gone.
  void Announce(const std::map<std::string, std::int64_t>& sequences);
  CommitQueue::Position Position() const;
  void RunWhenDurable(CommitQueue::Position since, Calls calls);
  // Runs `work` on the clerk once what was applied since then is durable; drops it if that is lost.
  void LeaveToClerk(CommitQueue::Position since, std::function<void()> work);
  // The same, and waits for its end.
  void RunOnClerk(CommitQueue::Position since, const std::function<void()>& work);
  void ReloadAfterLoss();

  absl::StatusOr<v1::ObjectRef> MakeShard(const LeaseView& view,
                                          const v1::CompleteLeaseRequest& request);
  absl::StatusOr<v1::ObjectRef> AssembleShard(const LeaseView& view);
  absl::Status FinishTask(const LeaseView& view, const v1::CompleteLeaseRequest& request);
  void FailJob(const base::JobId& job, const absl::Status& error);
  void PublishJob(const base::JobId& job);
  absl::Status BeginManifest(const base::JobId& job);
  // Whether publishing that failed with `error` will be tried again.
  bool PostponePublishing(const base::JobId& job, const absl::Status& error);
  void FinishJob(const base::JobId& job, const v1::JobResult& result);
  // The job's end; the objects that it no longer refers to.
  JobNames Succeed(const JobState& job, const v1::JobResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those that no job refers to any more.
  void RemoveUnused(const std::set<std::string>& objects);
  void RemoveObject(const std::string& object);
  // Those of them whose bytes are not what their names say, whoever refers to them.
  void RemoveDamaged(const std::vector<std::string>& objects);
  // The publisher is through with the job, by what was applied since then. One that has not ended
  // (the state could not be written) is published again after the next tick.
  void LeavePublishing(const base::JobId& job, CommitQueue::Position since);

  const CoordinatorOptions options_;
  const CoordinatorDependencies dependencies_;
  const Receipts receipts_;
  ModelCache models_;
  std::string probe_content_;

  base::Mutex mutex_;
  const std::unique_ptr<ClusterCore> core_ ABSL_PT_GUARDED_BY(mutex_);
  JobDesk jobs_ ABSL_GUARDED_BY(mutex_);
  LeaseDesk leases_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;  // transitions; memory is ahead of the state store
  std::string tick_trouble_ ABSL_GUARDED_BY(mutex_);  // what the last Tick met
  WaitId next_wait_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<WaitId, LeaseWait> lease_waits_ ABSL_GUARDED_BY(mutex_);
  // To be looked at although nothing has become grantable; and whether time may have made it so.
  std::set<WaitId> fresh_waits_ ABSL_GUARDED_BY(mutex_);
  bool time_passed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::pair<std::string, WaitId>, std::function<void()>> event_waits_
      ABSL_GUARDED_BY(mutex_);                                             // by job
  std::map<std::string, std::int64_t> announced_ ABSL_GUARDED_BY(mutex_);  // last durable event
  std::set<TaskKey> completing_ ABSL_GUARDED_BY(mutex_);      // CompleteLease is at work on them
  std::set<std::string> publishing_ ABSL_GUARDED_BY(mutex_);  // jobs
  PublishWaits publish_waits_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> unfinished_ ABSL_GUARDED_BY(mutex_);  // of those: until the next tick
  std::set<std::string> past_cancelling_
      ABSL_GUARDED_BY(mutex_);                                 // their manifest is being written
  std::multiset<std::string> pinned_ ABSL_GUARDED_BY(mutex_);  // objects
  std::set<std::string> removing_ ABSL_GUARDED_BY(mutex_);     // objects
  // Receipts and removals, one after the other; last, so that it ends first.
  ThreadPool clerk_{1};
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COORDINATOR_H_
