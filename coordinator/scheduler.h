// Which task a worker gets next. Pure.
//
// Jobs by priority (higher first), then creation. Within a job calibration first, then probes,
// because layers wait for them; then the units with most work left (longest processing time first:
// at most 4/3 of the shortest possible time on equal workers), then graph order.
#ifndef CALDERA_COORDINATOR_SCHEDULER_H_
#define CALDERA_COORDINATOR_SCHEDULER_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/leases.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Who asks.
struct WorkRequest {
  base::WorkerId worker;
  absl::Time available_until = absl::InfiniteFuture();
  std::int64_t memory_bytes = 0;  // 0 = not known
};

struct TaskKey {
  base::JobId job;
  std::string task;
  friend auto operator<=>(const TaskKey&, const TaskKey&) = default;
};

// nullopt when nothing fits now. Jobs PENDING or RUNNING only. A task whose expected end lies after
// available_until is not given. While nobody knows how long it takes, one lease time must be left:
// what a cut-off worker has committed by then stands, so it loses one matrix at most.
std::optional<TaskKey> PickTask(const ClusterState& state, const WorkRequest& request,
                                const LeasePolicy& policy, absl::Time now);

// Whether PickTask or PickStraggler finds a task of the job for a worker against whom nothing
// speaks.
bool HasGrantableTask(const JobState& job, const LeasePolicy& policy, absl::Time now);

// For a worker that PickTask has nothing for: a leased task that runs late (speculate_after) and
// may have a second holder, the one with most work left of the first job that has any. Late: the
// holder has taken longer than everybody's pace says, which is known then.
std::optional<TaskKey> PickStraggler(const ClusterState& state, const WorkRequest& request,
                                     const LeasePolicy& policy, absl::Time now);

// Whether a worker with that memory may work on the job.
bool HasMemoryFor(const JobRecord& job, std::int64_t memory_bytes, const LeasePolicy& policy);

// How long what is left of the task will take: by the worker's own pace on tasks of that kind in
// the same job, or everybody's while it has none. A pace comes from tasks that were finished in one
// attempt, or else from committed matrices. nullopt while there is neither.
std::optional<absl::Duration> ExpectedDuration(const JobState& job, const TaskRecord& task,
                                               const base::WorkerId& worker);

// Whether each worker of the cluster that is alive at `now` is excluded from the task: the unit
// failed everywhere. False when no worker is alive.
bool FailedEverywhere(const ClusterState& state, const TaskRecord& task, const LeasePolicy& policy,
                      absl::Time now);
// Heard from within one lease time.
bool IsAlive(const WorkerRecord& worker, const LeasePolicy& policy, absl::Time now);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SCHEDULER_H_
