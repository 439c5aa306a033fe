// The coordinator: core, store and publisher behind one mutex, without a gRPC type. Services
// convert and call; tests call it directly with a ManualClock.
//
// Thread rule: every method from any thread. Long work (planning, shard assembly, publishing) runs
// outside the mutex; callbacks run outside it too, on the thread that caused them, and must not
// block.
#ifndef CALDERA_COORDINATOR_COORDINATOR_H_
#define CALDERA_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/cluster_core.h"
#include "coordinator/job_desk.h"
#include "coordinator/lease_desk.h"
#include "coordinator/model_cache.h"
#include "coordinator/receipts.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

struct CoordinatorOptions {
  CoreOptions core;
  std::string version;                              // into manifests
  std::string code_version;                         // into jobs: version and commit
  absl::Duration longest_wait = absl::Seconds(30);  // of AcquireLease
};

// Borrowed; they outlive the coordinator.
struct CoordinatorDependencies {
  CoreDependencies core;
  store::CheckpointStore* store = nullptr;
  ThreadPool* pool = nullptr;  // publishing runs there
};

class Coordinator {
 public:
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(CoordinatorOptions options,
                                                           CoordinatorDependencies dependencies);

  // --- Users. Errors as compression.proto says, with details.
  // Plans first: takes as long as tokenising the text.
  absl::StatusOr<v1::CompressionJob> CreateJob(const v1::CreateCompressionJobRequest& request);
  absl::StatusOr<v1::CompressionJob> GetJob(const std::string& name);
  absl::StatusOr<v1::ListCompressionJobsResponse> ListJobs(
      const v1::ListCompressionJobsRequest& request);
  absl::StatusOr<v1::CompressionJob> CancelJob(const std::string& name);
  // Plans again first, to see whether anything has drifted.
  absl::StatusOr<v1::CompressionJob> ResumeJob(const v1::ResumeCompressionJobRequest& request);
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
  // Assembles the layer's shard before it answers.
  absl::Status CompleteLease(const v1::CompleteLeaseRequest& request);
  absl::Status FailLease(const v1::FailLeaseRequest& request);

  // Drops a waiting AwaitEvents or AcquireLease whose caller has gone; its callback is not called
  // afterwards unless it was already on its way.
  void StopWaiting(WaitId id);

  // --- Time: expiries, backoffs, ends of long polls. Call it about once a second.
  void Tick();
  // Answers every waiting call: AcquireLease without a lease, watchers with UNAVAILABLE.
  void BeginShutdown();

  // --- For the other services.
  absl::StatusOr<LeaseView> FindLease(const Fence& fence);
  absl::StatusOr<JobState> FindJobState(const std::string& name);
  ClusterSnapshot Snapshot();
  store::CheckpointStore& store() { return *dependencies_.store; }
  ModelCache& models() { return models_; }
  Observer& observer() { return *dependencies_.core.observer; }

 private:
  struct LeaseWait {
    v1::AcquireLeaseRequest request;
    absl::Time deadline;
    AcquireDone done;
  };
  struct EventWait {
    std::string job;
    std::int64_t after;
    std::function<void()> wake;
  };
  // Holds the mutex; on release serves waiters, starts publishing, and calls callbacks unlocked.
  class Section;
  using Calls = std::vector<std::function<void()>>;

  Coordinator(CoordinatorOptions options, CoordinatorDependencies dependencies,
              std::unique_ptr<ClusterCore> core);
  absl::Status WriteProbe();
  Calls CollectCalls() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectEventCalls(Calls* calls) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectLeaseCalls(Calls* calls) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectPublishCalls(Calls* calls) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<v1::ObjectRef> MakeShard(const LeaseView& view,
                                          const v1::CompleteLeaseRequest& request);
  absl::StatusOr<v1::ObjectRef> AssembleShard(const LeaseView& view);
  void FailJob(const base::JobId& job, const absl::Status& error);
  void PublishJob(const base::JobId& job);
  absl::Status BeginManifest(const base::JobId& job);
  void FinishJob(const base::JobId& job, const v1::JobResult& result);
  void RemoveObjects(const std::vector<std::string>& objects);

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
  WaitId next_wait_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<WaitId, LeaseWait> lease_waits_ ABSL_GUARDED_BY(mutex_);
  std::map<WaitId, EventWait> event_waits_ ABSL_GUARDED_BY(mutex_);
  std::set<TaskKey> completing_ ABSL_GUARDED_BY(mutex_);      // CompleteLease is at work on them
  std::set<std::string> publishing_ ABSL_GUARDED_BY(mutex_);  // jobs
  std::set<std::string> past_cancelling_
      ABSL_GUARDED_BY(mutex_);  // their manifest is being written
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COORDINATOR_H_
