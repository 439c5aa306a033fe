// What is looked up often, kept beside the state: tasks by lease and by holder, and how often each
// object is referred to.
#ifndef CALDERA_COORDINATOR_STATE_INDEX_H_
#define CALDERA_COORDINATOR_STATE_INDEX_H_

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "common/base/types.h"
#include "coordinator/records.h"
#include "coordinator/scheduler.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

// One thread at a time. Around every ApplyToState: Forget with the state before it, then Note with
// the state after it.
class StateIndex {
 public:
  StateIndex() = default;
  explicit StateIndex(const ClusterState& state);

  void Forget(const Transition& transition, const ClusterState& before);
  void Note(const Transition& transition, const ClusterState& after);

  // The task one of whose leases, or the last, it is; nullptr when there is none.
  const TaskKey* FindLease(const base::LeaseId& lease) const;
  // A task that the worker holds (kLeased), also as a rival; nullptr when there is none.
  const TaskKey* FindHeld(const base::WorkerId& worker) const;
  // Whether a job refers to the object: as Hessian, matrix or shard.
  bool IsUsed(const std::string& sha256) const { return uses_.count(sha256) > 0; }

 private:
  void AddTask(const TaskRecord& task);
  void RemoveTask(const TaskRecord& task);
  void RemoveHeld(const base::WorkerId& worker, const TaskKey& key);
  void AddUse(const v1::ObjectRef& object);
  void RemoveUse(const v1::ObjectRef& object);
  void RemoveHessians(const JobState& job);

  std::unordered_map<std::string, TaskKey> by_lease_;
  std::map<std::string, std::set<TaskKey>> held_;  // by worker
  std::unordered_map<std::string, int> uses_;      // by digest, never 0
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_STATE_INDEX_H_
