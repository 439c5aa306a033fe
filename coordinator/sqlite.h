// The little of SQLite that the state store needs, owned and checked: a connection, a statement
// with typed binding by position, a transaction that rolls back unless committed. One thread at a
// time.
#ifndef CALDERA_COORDINATOR_SQLITE_H_
#define CALDERA_COORDINATOR_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace caldera::coordinator {

// Bytes to bind as a BLOB; text binds as TEXT.
struct Blob {
  const std::string& bytes;
};

// A prepared statement in use. Bind in order, then Step until kDone. Errors stick: Step reports the
// first one.
class Statement {
 public:
  enum class Row { kRow, kDone };

  Statement& Bind(std::int64_t value);
  Statement& Bind(int value) { return Bind(static_cast<std::int64_t>(value)); }
  Statement& Bind(double value);
  Statement& Bind(const std::string& text);
  Statement& Bind(const Blob& blob);
  Statement& BindNull();

  absl::StatusOr<Row> Step();
  // Step for a statement without rows. Returns the number of changed rows.
  absl::StatusOr<int> Run();

  // Columns of the current row, from 0.
  std::int64_t Integer(int column) const;
  double Real(int column) const;
  std::string Bytes(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int next_ = 1;
  int error_ = 0;
};

class Database {
 public:
  // Opens or creates the file: WAL, synchronous=FULL, foreign keys on. The errors of SQLite:
  // CANTOPEN and IOERR are UNAVAILABLE, FULL is RESOURCE_EXHAUSTED, CORRUPT and NOTADB are
  // DATA_LOSS.
  static absl::StatusOr<Database> Open(const std::string& path);

  // Statements without parameters or results, several at once.
  absl::Status Execute(const std::string& sql);
  // INTERNAL with SQLite's message for wrong SQL.
  absl::StatusOr<Statement> Prepare(const std::string& sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit Database(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Close> database_;
};

// BEGIN IMMEDIATE ... COMMIT, or ROLLBACK when it goes without Commit.
class SqliteTransaction {
 public:
  static absl::StatusOr<SqliteTransaction> Begin(Database* database);
  SqliteTransaction(SqliteTransaction&& other) noexcept;
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();
  absl::Status Commit();

 private:
  explicit SqliteTransaction(Database* database) : database_(database) {}
  Database* database_;  // not owned; nullptr once finished
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_H_
