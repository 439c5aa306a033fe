// The StateStore that survives: one SQLite file on a local disk (never on a network file system).
// See state_store.h for the contract and sqlite_schema.h for the tables.
#ifndef CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_
#define CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/sqlite.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

class SqliteStateStore : public StateStore {
 public:
  // Opens or creates the file and brings its schema up to date. Errors: those of Database::Open and
  // MigrateSchema.
  static absl::StatusOr<std::unique_ptr<SqliteStateStore>> Open(const std::string& path);

  absl::StatusOr<ClusterState> Load() override;
  absl::Status Apply(const Transition& transition) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override;

 private:
  explicit SqliteStateStore(Database database) : database_(std::move(database)) {}
  Database database_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_STATE_STORE_H_
