#include "coordinator/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "common/base/status.h"
#include "common/store/store_error.h"

namespace caldera::coordinator {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CONSTRAINT:
      return error == SQLITE_CONSTRAINT_FOREIGNKEY ? absl::StatusCode::kNotFound
                                                   : absl::StatusCode::kAlreadyExists;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ErrorOf(sqlite3* database, int error) {
  const absl::Status status(
      CodeOf(error),
      fmt::format("state database: {} ({})", sqlite3_errmsg(database), sqlite3_errstr(error)));
  const char* path = sqlite3_db_filename(database, "main");
  if (path == nullptr || !absl::IsResourceExhausted(status)) return status;
  return store::ToStoreError(base::WithContext(status, path), path);
}

}  // namespace

StatementCache::~StatementCache() {
  for (const auto& [sql, statements] : idle_) {
    for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
  }
}

sqlite3_stmt* StatementCache::Take(const std::string& sql) {
  const auto found = idle_.find(sql);
  if (found == idle_.end() || found->second.empty()) return nullptr;
  sqlite3_stmt* statement = found->second.back();
  found->second.pop_back();
  return statement;
}

void StatementCache::Return(sqlite3_stmt* statement) {
  // What the last step returned was reported then.
  (void)sqlite3_reset(statement);
  (void)sqlite3_clear_bindings(statement);
  idle_[sqlite3_sql(statement)].push_back(statement);
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Statement& Statement::Bind(std::int64_t value) {
  if (error_ == 0) error_ = sqlite3_bind_int64(statement_.get(), next_++, value);
  return *this;
}

Statement& Statement::Bind(double value) {
  if (error_ == 0) error_ = sqlite3_bind_double(statement_.get(), next_++, value);
  return *this;
}

Statement& Statement::Bind(const std::string& text) {
  if (error_ == 0) {
    error_ = sqlite3_bind_text64(statement_.get(), next_++, text.data(), text.size(),
                                 SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  return *this;
}

Statement& Statement::Bind(const Blob& blob) {
  if (error_ == 0) {
    error_ = sqlite3_bind_blob64(statement_.get(), next_++, blob.bytes.data(), blob.bytes.size(),
                                 SQLITE_TRANSIENT);
  }
  return *this;
}

Statement& Statement::BindNull() {
  if (error_ == 0) error_ = sqlite3_bind_null(statement_.get(), next_++);
  return *this;
}

absl::StatusOr<Statement::Row> Statement::Step() {
  if (error_ != 0) return ErrorOf(database_, error_);
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return Row::kRow;
  if (result == SQLITE_DONE) return Row::kDone;
  return ErrorOf(database_, sqlite3_extended_errcode(database_));
}

absl::StatusOr<int> Statement::Run() {
  CALDERA_ASSIGN_OR_RETURN(const Row row, Step());
  if (row == Row::kRow) return base::Internal("state database: unexpected row");
  return sqlite3_changes(database_);
}

std::int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::Real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr
             ? std::string()
             : std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

absl::StatusOr<Database> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  Database database(handle);
  if (result != SQLITE_OK) return base::WithContext(ErrorOf(handle, result), path);
  sqlite3_busy_timeout(handle, 5000);
  CALDERA_RETURN_IF_ERROR(base::WithContext(
      database.Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"),
      path));
  return database;
}

absl::Status Database::Execute(const std::string& sql) {
  const int result = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ErrorOf(database_.get(), result);
}

absl::StatusOr<Statement> Database::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = statements_->Take(sql);
  if (statement == nullptr) {
    const int result = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) return ErrorOf(database_.get(), result);
  }
  return Statement(database_.get(), statement, statements_.get());
}

absl::StatusOr<SqliteTransaction> SqliteTransaction::Begin(Database* database) {
  CALDERA_RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  return SqliteTransaction(database);
}

SqliteTransaction::SqliteTransaction(SqliteTransaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

SqliteTransaction::~SqliteTransaction() {
  // A failed rollback leaves nothing to do: SQLite rolls back by itself on its fatal errors.
  if (database_ != nullptr) (void)database_->Execute("ROLLBACK");
}

absl::Status SqliteTransaction::Commit() {
  CALDERA_RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
