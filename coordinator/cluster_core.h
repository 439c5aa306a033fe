// The coordinator's memory and its one way to change it: every transition goes to the state store
// first, then to memory, then past the invariants. Users' calls stand in job_desk.h, workers' in
// lease_desk.h.
//
// Thread rule: one thread at a time (Coordinator holds its mutex around every call). No I/O but the
// state store's.
#ifndef CALDERA_COORDINATOR_CLUSTER_CORE_H_
#define CALDERA_COORDINATOR_CLUSTER_CORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/uuid.h"
#include "coordinator/job_edit.h"
#include "coordinator/leases.h"
#include "coordinator/observer.h"
#include "coordinator/scheduler.h"
#include "coordinator/state_index.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

enum class InvariantChecks { kOff, kOn };

struct CoreOptions {
  LeasePolicy policy;
  // Ended jobs stay in metrics for so long.
  absl::Duration metrics_retention = absl::Minutes(15);
  // kOn aborts the process when a transition breaks an invariant: tests and debug builds.
  InvariantChecks invariants = InvariantChecks::kOff;
};

// Borrowed; all outlive the core.
struct CoreDependencies {
  StateStore* states = nullptr;
  base::Clock* clock = nullptr;
  Observer* observer = nullptr;
  base::EntropySource entropy;
  base::Logger log;
};

class ClusterCore {
 public:
  // Loads the state and extends live leases by the restart grace.
  static absl::StatusOr<std::unique_ptr<ClusterCore>> Open(CoreOptions options,
                                                           CoreDependencies dependencies);

  const ClusterState& state() const { return state_; }
  const LeasePolicy& policy() const { return options_.policy; }
  absl::Time Now() const { return dependencies_.clock->Now(); }
  Observer& observer() const { return *dependencies_.observer; }
  const base::Logger& log() const { return dependencies_.log; }
  std::string NewId() const { return base::NewUuid(dependencies_.entropy); }

  // After transitions were lost behind the state store's back: the state as stored. What lives in
  // memory only (heartbeats, deadlines) is kept; running leases are renewed.
  absl::Status Reload();

  // NOT_FOUND with reason JOB_NOT_FOUND.
  absl::StatusOr<const JobState*> FindJob(const base::JobId& job) const;
  // The task that is held, or was finished, under that fence; nullptr when there is none.
  const TaskRecord* FindTaskOf(const Fence& fence) const;
  // The task a worker holds, as it sees it (leases.h, SeenBy), nullopt when none.
  std::optional<TaskRecord> HeldTask(const base::WorkerId& worker) const;
  // "idle", "busy", "draining" (its last status begins with "drain"), "lost".
  std::string StateOf(const WorkerRecord& worker) const;
  // A new edit of a job that exists.
  JobEdit Edit(const JobState& job) {
    return JobEdit(&state_.jobs.at(job.record.id.value()), Now());
  }

  // Stores and applies. On an error nothing has changed.
  absl::Status Apply(JobEdit edit);
  absl::Status ApplyTransition(const Transition& transition);

  // Ends the job with `error`: leases are released, an event says why.
  absl::Status FailJob(const base::JobId& job, const absl::Status& error);

  // Changes that live in memory only: heartbeats, and good-byes.
  void TouchWorker(const base::WorkerId& worker);
  void NoteGone(const base::WorkerId& worker);
  void RenewInMemory(const TaskRecord& task);

  // When the task became runnable, for the queue-wait metric; forgets it.
  std::optional<absl::Time> TakeReadySince(const TaskKey& task);

  // Jobs with new events (or deleted) since the last call.
  std::set<std::string> TakeChangedJobs();
  // Whether a worker could be given a task of one of `jobs` now, if nothing speaks against the
  // worker.
  bool HasGrantableTask(const std::set<std::string>& jobs) const;

  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) {
    return dependencies_.states->ReadEvents(job, after, limit);
  }

  // What the job refers to: its Hessians, or also its matrices and shards.
  enum class ObjectScope { kHessians, kAll };
  static std::set<std::string> ObjectsOf(const JobState& job, ObjectScope scope);
  // Whether any job refers to the object.
  bool IsUsed(const std::string& sha256) const { return index_.IsUsed(sha256); }

  ClusterSnapshot Snapshot() const;

 private:
  ClusterCore(CoreOptions options, CoreDependencies dependencies, ClusterState state)
      : options_(options),
        dependencies_(std::move(dependencies)),
        state_(std::move(state)),
        index_(state_) {}
  absl::Status ExtendLeases();
  void KeepVolatile(ClusterState* loaded) const;
  TaskRecord KeepLease(TaskRecord loaded, const TaskRecord* old) const;
  const TaskRecord* Find(const TaskKey* key) const;
  void NoteReadyTasks(const std::string& job);
  void CheckInvariantsIfOn() const;

  const CoreOptions options_;
  const CoreDependencies dependencies_;
  ClusterState state_;
  StateIndex index_;
  std::set<std::string> changed_jobs_;
  std::map<TaskKey, absl::Time> ready_since_;
  std::map<std::string, absl::Time> last_progress_;  // by job
};

// "running" for v1::RUNNING.
std::string StateName(v1::State state);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_CLUSTER_CORE_H_
