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

  // NOT_FOUND with reason JOB_NOT_FOUND.
  absl::StatusOr<const JobState*> FindJob(const base::JobId& job) const;
  // A new edit of a job that exists (or of an empty one for Insert).
  JobEdit Edit(const JobState& job) const { return JobEdit(job, Now()); }

  // Stores and applies. On an error nothing has changed.
  absl::Status Apply(JobEdit edit);
  absl::Status ApplyTransition(const Transition& transition);

  // Ends the job with `error`: leases are released, an event says why.
  absl::Status FailJob(const base::JobId& job, const absl::Status& error);

  // Changes that live in memory only: heartbeats.
  void TouchWorker(const base::WorkerId& worker);
  void RenewInMemory(const TaskRecord& task);

  // When the task became runnable, for the queue-wait metric; forgets it.
  std::optional<absl::Time> TakeReadySince(const TaskKey& task);

  // Grows with every applied transition.
  std::uint64_t version() const { return version_; }
  // Jobs with new events (or deleted) since the last call.
  std::set<std::string> TakeChangedJobs();

  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) {
    return dependencies_.states->ReadEvents(job, after, limit);
  }

  // Objects of the job that no other job refers to: its Hessians, or also its matrices and shards.
  enum class ObjectScope { kHessians, kAll };
  std::vector<std::string> ExclusiveObjects(const JobState& job, ObjectScope scope) const;

  ClusterSnapshot Snapshot() const;

 private:
  ClusterCore(CoreOptions options, CoreDependencies dependencies, ClusterState state)
      : options_(options), dependencies_(std::move(dependencies)), state_(std::move(state)) {}
  absl::Status ExtendLeases();
  void NoteReadyTasks(const std::string& job);
  void CheckInvariantsIfOn() const;

  const CoreOptions options_;
  const CoreDependencies dependencies_;
  ClusterState state_;
  std::uint64_t version_ = 0;
  std::set<std::string> changed_jobs_;
  std::map<TaskKey, absl::Time> ready_since_;
  std::map<std::string, absl::Time> last_progress_;  // by job
};

// "idle", "busy", "draining" (its last status begins with "drain"), "lost".
std::string WorkerState(const ClusterState& state, const WorkerRecord& worker,
                        const LeasePolicy& policy, absl::Time now);
// The task a worker holds, nullptr when none.
const TaskRecord* HeldTask(const ClusterState& state, const base::WorkerId& worker);
// "running" for v1::RUNNING.
std::string StateName(v1::State state);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_CLUSTER_CORE_H_
