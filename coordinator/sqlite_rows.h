// Records <-> rows of the state database: one Save and one Load per table. Internal to
// SqliteStateStore; every function runs inside the caller's transaction.
#ifndef CALDERA_COORDINATOR_SQLITE_ROWS_H_
#define CALDERA_COORDINATOR_SQLITE_ROWS_H_

#include "absl/status/status.h"
#include "coordinator/sqlite.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

absl::Status SaveJob(const JobRecord& record, Database* database);
// With a fence: one UPDATE whose changed-row count must be 1, else STALE_LEASE.
absl::Status SaveTask(const TaskChange& change, Database* database);
absl::Status SaveMatrix(const MatrixChange& change, Database* database);
absl::Status SaveHessian(const HessianChange& change, Database* database);
absl::Status DeleteMatrix(const LostMatrix& lost, Database* database);
absl::Status DeleteHessian(const LostHessian& lost, Database* database);
absl::Status SaveEvent(const EventChange& change, Database* database);
absl::Status SaveWorker(const WorkerRecord& worker, Database* database);

// Each adds its table to `state`; jobs first. DATA_LOSS names a row that does not parse.
absl::Status LoadJobs(Database* database, ClusterState* state);
absl::Status LoadTasks(Database* database, ClusterState* state);
absl::Status LoadMatrices(Database* database, ClusterState* state);
absl::Status LoadHessians(Database* database, ClusterState* state);
absl::Status LoadWorkers(Database* database, ClusterState* state);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_ROWS_H_
