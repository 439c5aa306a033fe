// Which task a worker gets next. Pure.
//
// Jobs by priority (higher first), then creation. Within a job calibration first, because layers
// wait for it, then the biggest units, then graph order.
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
  absl::Time available_until = absl::InfiniteFuture();  // nothing that takes longer is given
  std::int64_t memory_bytes = 0;                        // 0 = not known
};

struct TaskKey {
  base::JobId job;
  std::string task;
  friend auto operator<=>(const TaskKey&, const TaskKey&) = default;
};

// nullopt when nothing fits now. Jobs PENDING or RUNNING only.
std::optional<TaskKey> PickTask(const ClusterState& state, const WorkRequest& request,
                                const LeasePolicy& policy, absl::Time now);

// Whether PickTask finds a task of the job for a worker against whom nothing speaks.
bool HasGrantableTask(const JobState& job, absl::Time now);

// Whether a worker with that memory may work on the job.
bool HasMemoryFor(const JobRecord& job, std::int64_t memory_bytes, const LeasePolicy& policy);

// How long the task will take, from finished tasks of its kind in the same job; nullopt while no
// such task has finished.
std::optional<absl::Duration> ExpectedDuration(const JobState& job, const TaskRecord& task);

// Whether each worker of the cluster that is alive at `now` is excluded from the task: the unit
// failed everywhere. False when no worker is alive.
bool FailedEverywhere(const ClusterState& state, const TaskRecord& task, const LeasePolicy& policy,
                      absl::Time now);
// Heard from within one lease time.
bool IsAlive(const WorkerRecord& worker, const LeasePolicy& policy, absl::Time now);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SCHEDULER_H_
