// Where the coordinator's state survives: one narrow contract, two implementations (SQLite for
// service, memory for tests and simulations), one conformance suite
// (tests/contracts/state_store_contract.h).
//
// All changes go through Apply: one Transition is one transaction, with its events in it. The fence
// of a task is checked inside that transaction, so a stale writer changes nothing even if the
// caller's picture was old. Thread rule: every method from any thread.
#ifndef CALDERA_COORDINATOR_STATE_STORE_H_
#define CALDERA_COORDINATOR_STATE_STORE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// A task's new record. With `fence`, the stored task must still be held under it (leases.h, Holds).
// Without one the task is inserted or replaced whatever it holds.
struct TaskChange {
  TaskRecord task;
  std::optional<Fence> fence;
};

struct MatrixChange {
  base::JobId job;
  MatrixKey key;
  MatrixRecord matrix;
};

struct HessianChange {
  base::JobId job;
  v1::HessianRef hessian;
};

// Rows whose objects the store no longer holds as they were.
struct LostMatrix {
  base::JobId job;
  MatrixKey key;
};
struct LostHessian {
  base::JobId job;
  HessianKey key;
};

struct EventChange {
  base::JobId job;
  v1::JobEvent event;
};

// Applied whole or not at all, in the order of the fields. Jobs, tasks and workers are inserted or
// replaced; a matrix, Hessian or event must be new (ALREADY_EXISTS).
struct Transition {
  std::vector<JobRecord> jobs;
  std::vector<TaskChange> tasks;
  std::vector<MatrixChange> matrices;
  std::vector<HessianChange> hessians;
  std::vector<EventChange> events;
  std::vector<WorkerRecord> workers;
  std::vector<LostMatrix> lost_matrices;
  std::vector<LostHessian> lost_hessians;
  std::vector<base::JobId> forgotten_hessians;  // jobs whose Hessian rows go
  std::vector<base::JobId> deleted_jobs;        // with everything below them
};

class StateStore {
 public:
  virtual ~StateStore() = default;

  // Everything but events. DATA_LOSS when a row does not parse.
  virtual absl::StatusOr<ClusterState> Load() = 0;

  // All of them, in order, in one transaction, or none.
  // FAILED_PRECONDITION with reason STALE_LEASE when a fence does not hold, NOT_FOUND for rows of
  // an unknown job, ALREADY_EXISTS for a second request id or row, RESOURCE_EXHAUSTED for a full
  // disk.
  virtual absl::Status ApplyAll(std::span<const Transition> transitions) = 0;
  absl::Status Apply(const Transition& transition) { return ApplyAll({&transition, 1}); }

  // At most `limit` events of the job with sequence > after, in order; only what is durable.
  virtual absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job,
                                                               std::int64_t after, int limit) = 0;
};

// Applies the state part of a transition (all but events) to `state`; the stores' and the
// coordinator's memory change by this one text. Fences are not checked here.
void ApplyToState(const Transition& transition, ClusterState* state);

// The error of a fence that does not hold.
absl::Status StaleFence(const TaskChange& change);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_STATE_STORE_H_
