// The life of a task under leases, as functions of values: a record, a time and a policy in, the
// next record out. Nothing here reads a clock, draws randomness or stores anything.
//
//            Grant            Complete
//   kPending -----> kLeased -----------> kDone
//      ^  ^           |  ^ Renew
//      |  +- Fail ----+  |
//      |-- stalled ---| Lapse (deadline passed)
//      +--- Grant     v  | Renew, Complete: the holder came back before anybody else took it
//           again -- kLapsed
//
//   kLeased --GrantRival--> kLeased with a rival --Fail, Release, Lapse of one--> kLeased (the
//   other)
//                                                --Complete of one--------------> kDone
//
// A task that runs late may have a rival: a second holder, who starts at the first matrix that is
// missing. The first commit of a matrix stands, whoever brings it; the first completion ends both
// leases. Functions that say "the holder" mean the record's first one: SeenBy makes either first.
//
// Fence: (lease id, attempt). Grant makes a new one, so everything the earlier holder still sends
// is stale. Failures are counted since something of the task last became durable
// (NoteProgressMade): a unit that moves forward between failures is not poisoned.
#ifndef CALDERA_COORDINATOR_LEASES_H_
#define CALDERA_COORDINATOR_LEASES_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Every number is a flag of the coordinator.
struct LeasePolicy {
  absl::Duration lease = absl::Seconds(90);
  absl::Duration heartbeat = absl::Seconds(15);
  int max_failures = 5;                              // the poison cap
  absl::Duration backoff = absl::Seconds(30);        // doubled after each failure ...
  absl::Duration max_backoff = absl::Minutes(10);    // ... up to this ...
  double backoff_jitter = .2;                        // ... times 1 - jitter to 1 + jitter
  int failures_before_exclusion = 2;                 // of one worker on one task
  absl::Duration restart_grace = absl::Minutes(5);   // of live leases when the coordinator restarts
  absl::Duration stall_timeout = absl::Minutes(20);  // heartbeats without progress
  // A worker gets no lease of a job that needs more than its memory over this; 0: nobody looks.
  double memory_share = 1;
  // A lease that takes longer than so many times the expected, and than a heartbeat, gets a rival
  // when a worker has nothing else to do; 0: never.
  double speculate_after = 1.5;
};

// Who gets a lease, under which new id.
struct LeaseHolder {
  base::WorkerId worker;
  std::string incarnation;
  base::LeaseId lease;
};

// Whether the task may be given to this worker at `now` as far as its own record says (inputs are
// job_graph.h's business).
bool MayGrant(const TaskRecord& task, const base::WorkerId& worker, const LeasePolicy& policy,
              absl::Time now);
bool IsExcluded(const TaskRecord& task, const base::WorkerId& worker, const LeasePolicy& policy);

// Precondition: MayGrant.
TaskRecord Grant(TaskRecord task, const LeaseHolder& holder, const LeasePolicy& policy,
                 absl::Time now);

// Whether the task may get a rival at that worker: kLeased by another without one, and both may
// fail without poisoning it.
bool MayGrantRival(const TaskRecord& task, const base::WorkerId& worker, const LeasePolicy& policy);
// Precondition: MayGrantRival.
TaskRecord GrantRival(TaskRecord task, const LeaseHolder& holder, const LeasePolicy& policy,
                      absl::Time now);
// The record with the holder of `fence` first, the other as its rival; unchanged when the fence is
// not the rival's.
TaskRecord SeenBy(TaskRecord task, const Fence& fence);

// Whether the fence is that of a holder: leased, lapsed or a rival.
bool Holds(const TaskRecord& task, const Fence& fence);
// The fence under which the worker holds the task; nullptr when it does not. Into `task`.
const Fence* FenceOfHolder(const TaskRecord& task, const base::WorkerId& worker);

// OK when `fence` is that of a holder, or of the one who finished a done task, so that repeated
// calls can be answered; FAILED_PRECONDITION with reason STALE_LEASE otherwise.
absl::Status CheckFence(const TaskRecord& task, const Fence& fence);

// A heartbeat or a write under the lease: a new deadline, and kLeased again if it had lapsed.
// `progress` moves the stall clock only when it differs from the last one.
TaskRecord Renew(TaskRecord task, std::int64_t progress, const LeasePolicy& policy, absl::Time now);
// Something of the task is durable now: forgets failures.
TaskRecord NoteProgressMade(TaskRecord task, absl::Time now);

// Why the lease is over at `now`: past its deadline, or alive without progress; nullopt while fine.
enum class LapseReason { kExpired, kStalled };
std::optional<LapseReason> FindLapse(const TaskRecord& task, const LeasePolicy& policy,
                                     absl::Time now);
// Counted as a failure. Expired: kLapsed, and its holder may still come back, unless a rival has
// the task by then. Stalled: released, and a failure of the worker too. No backoff: a lost worker
// says little about the unit.
TaskRecord Lapse(TaskRecord task, LapseReason reason, absl::Time now);

// The holder's lease is over: its worker restarted or drained. The rival's goes on; without one the
// task is kPending again, with a fence nobody holds.
TaskRecord Release(TaskRecord task);
// Both leases are over: the job has ended.
TaskRecord ReleaseAll(TaskRecord task);

// The attempt failed with `error`: released, and not given again before a backoff. Its jitter is
// drawn from the names of job and task and the attempt, so that units that failed together do not
// come back together.
TaskRecord Fail(TaskRecord task, const absl::Status& error, const LeasePolicy& policy,
                absl::Time now);
// Whether the task must fail its job: an error that no retry mends, or the poison cap.
bool IsPermanent(const absl::Status& error);
bool IsPoisoned(const TaskRecord& task, const LeasePolicy& policy);

// kDone, without a rival. The fence stays so that the holder's repeated CompleteLease is
// recognised.
TaskRecord Complete(TaskRecord task, absl::Time now);

// After a restart of the coordinator: live leases get at least the grace, with a fresh stall clock.
TaskRecord ExtendAfterRestart(TaskRecord task, const LeasePolicy& policy, absl::Time now);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_LEASES_H_
