// Tables of the state database and how an older one becomes the newest.
//
// jobs 1-n tasks, task_failures, matrices, hessians, events; workers apart. Columns are what is
// queried or fenced; the rest of a record is one serialised message. Times are milliseconds since
// 1970, with the extremes of int64 for the infinite past and future.
#ifndef CALDERA_COORDINATOR_SQLITE_SCHEMA_H_
#define CALDERA_COORDINATOR_SQLITE_SCHEMA_H_

#include "absl/status/status.h"
#include "coordinator/sqlite.h"

namespace caldera::coordinator {

// The user_version that this program writes.
inline constexpr int kSchemaVersion = 3;

// Runs the migrations that are missing, each in its own transaction. FAILED_PRECONDITION when the
// database is newer than this program.
absl::Status MigrateSchema(Database* database);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_SCHEMA_H_
