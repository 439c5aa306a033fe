// The StateStore that survives: one SQLite file on a local disk (never on a network file system).
// See state_store.h for the contract and sqlite_schema.h for the tables.
#ifndef CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_
#define CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/sqlite.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

class SqliteStateStore : public StateStore {
 public:
  // Opens or creates the file and brings its schema up to date. Errors: those of Database::Open and
  // MigrateSchema.
  static absl::StatusOr<std::unique_ptr<SqliteStateStore>> Open(const std::string& path);

  absl::StatusOr<ClusterState> Load() override;
  absl::Status ApplyAll(std::span<const Transition> transitions) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override;

 private:
  SqliteStateStore(Database database, Database reader)
      : database_(std::move(database)), reader_(std::move(reader)) {}
  absl::Status Write(const Transition& transition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Mutex mutex_;
  Database database_ ABSL_GUARDED_BY(mutex_);
  // A connection of its own: followers of events do not wait for writers.
  base::Mutex reader_mutex_;
  Database reader_ ABSL_GUARDED_BY(reader_mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_
