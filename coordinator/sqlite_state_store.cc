#include "coordinator/sqlite_state_store.h"

#include "common/base/status.h"
#include "coordinator/sqlite_rows.h"
#include "coordinator/sqlite_schema.h"

namespace caldera::coordinator {
namespace {

template <typename Change, typename Save>
absl::Status SaveEach(const std::vector<Change>& changes, Save save, Database* database) {
  for (const Change& change : changes) CALDERA_RETURN_IF_ERROR(save(change, database));
  return absl::OkStatus();
}

absl::Status DeleteRows(const std::string& table, const base::JobId& job, Database* database) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement,
                           database->Prepare("DELETE FROM " + table + " WHERE job = ?"));
  return statement.Bind(job.value()).Run().status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStateStore>> SqliteStateStore::Open(const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  CALDERA_RETURN_IF_ERROR(base::WithContext(MigrateSchema(&database), path));
  CALDERA_ASSIGN_OR_RETURN(Database reader, Database::Open(path));
  return std::unique_ptr<SqliteStateStore>(
      new SqliteStateStore(std::move(database), std::move(reader)));
}

absl::StatusOr<ClusterState> SqliteStateStore::Load() {
  base::MutexLock lock(mutex_);
  ClusterState state;
  CALDERA_RETURN_IF_ERROR(LoadJobs(&database_, &state));
  CALDERA_RETURN_IF_ERROR(LoadTasks(&database_, &state));
  CALDERA_RETURN_IF_ERROR(LoadMatrices(&database_, &state));
  CALDERA_RETURN_IF_ERROR(LoadHessians(&database_, &state));
  CALDERA_RETURN_IF_ERROR(LoadWorkers(&database_, &state));
  return state;
}

absl::Status SqliteStateStore::Write(const Transition& transition) {
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.jobs, SaveJob, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.tasks, SaveTask, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.matrices, SaveMatrix, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.hessians, SaveHessian, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.events, SaveEvent, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.workers, SaveWorker, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.lost_matrices, DeleteMatrix, &database_));
  CALDERA_RETURN_IF_ERROR(SaveEach(transition.lost_hessians, DeleteHessian, &database_));
  for (const base::JobId& job : transition.forgotten_hessians) {
    CALDERA_RETURN_IF_ERROR(DeleteRows("hessians", job, &database_));
  }
  for (const base::JobId& job : transition.deleted_jobs) {
    CALDERA_RETURN_IF_ERROR(DeleteRows("jobs", job, &database_));
  }
  return absl::OkStatus();
}

absl::Status SqliteStateStore::ApplyAll(std::span<const Transition> transitions) {
  base::MutexLock lock(mutex_);
  CALDERA_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(&database_));
  for (const Transition& transition : transitions) CALDERA_RETURN_IF_ERROR(Write(transition));
  return transaction.Commit();
}

absl::StatusOr<std::vector<v1::JobEvent>> SqliteStateStore::ReadEvents(const base::JobId& job,
                                                                       std::int64_t after,
                                                                       int limit) {
  base::MutexLock lock(reader_mutex_);
  CALDERA_ASSIGN_OR_RETURN(Statement statement,
                           reader_.Prepare("SELECT body FROM events WHERE job = ? AND sequence > ?"
                                           " ORDER BY sequence LIMIT ?"));
  statement.Bind(job.value()).Bind(after).Bind(limit);
  std::vector<v1::JobEvent> events;
  while (true) {
    CALDERA_ASSIGN_OR_RETURN(const Statement::Row row, statement.Step());
    if (row == Statement::Row::kDone) return events;
    v1::JobEvent event;
    if (!event.ParseFromString(statement.Bytes(0))) {
      return base::DataLoss("state database: an event of job {} does not parse", job.value());
    }
    events.push_back(std::move(event));
  }
}

}  // namespace caldera::coordinator
