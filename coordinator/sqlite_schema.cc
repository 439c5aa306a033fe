#include "coordinator/sqlite_schema.h"

#include <array>
#include <string>

#include "common/base/status.h"

namespace caldera::coordinator {
namespace {

// Entry i leads from user_version i to i + 1. Never change one that was released: add another.
constexpr std::array<const char*, kSchemaVersion> kMigrations = {R"sql(
CREATE TABLE jobs (
  job TEXT PRIMARY KEY,
  ordinal INTEGER NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  request_fingerprint TEXT NOT NULL,
  state INTEGER NOT NULL,
  calibration_sha256 TEXT NOT NULL,
  calibration_tokens INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE TABLE tasks (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  task TEXT NOT NULL,
  position INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  work REAL NOT NULL,
  state INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  lease TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  granted INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  completion BLOB NOT NULL,
  PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE task_failures (
  job TEXT NOT NULL,
  task TEXT NOT NULL,
  worker TEXT NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (job, task, worker),
  FOREIGN KEY (job, task) REFERENCES tasks(job, task) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE matrices (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  projection INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, projection)
) STRICT, WITHOUT ROWID;
CREATE TABLE hessians (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  layer INTEGER NOT NULL,
  range INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, layer, range, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs(job) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
  worker TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
)sql",
                                                                 R"sql(
ALTER TABLE tasks ADD COLUMN allotment BLOB NOT NULL DEFAULT x'';
)sql",
                                                                 R"sql(
ALTER TABLE tasks ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET attempts = attempt;
ALTER TABLE tasks ADD COLUMN rival_lease TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN rival_attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN rival_worker TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN rival_incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN rival_granted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN rival_deadline INTEGER NOT NULL DEFAULT 0;
)sql"};

absl::StatusOr<std::int64_t> UserVersion(Database* database) {
  CALDERA_ASSIGN_OR_RETURN(Statement statement, database->Prepare("PRAGMA user_version"));
  CALDERA_RETURN_IF_ERROR(statement.Step().status());
  return statement.Integer(0);
}

}  // namespace

absl::Status MigrateSchema(Database* database) {
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t version, UserVersion(database));
  if (version > kSchemaVersion) {
    return base::FailedPrecondition(
        "the state database has schema {}, this program knows up to {}: use the newer program",
        version, kSchemaVersion);
  }
  for (auto v = static_cast<std::size_t>(version); v < kMigrations.size(); ++v) {
    CALDERA_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(database));
    CALDERA_RETURN_IF_ERROR(database->Execute(kMigrations[v]));
    CALDERA_RETURN_IF_ERROR(database->Execute("PRAGMA user_version = " + std::to_string(v + 1)));
    CALDERA_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
