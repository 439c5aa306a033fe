// The little of SQLite that the state store needs, owned and checked: a connection, a statement
// with typed binding by position, a transaction that rolls back unless committed. One thread at a
// time. Statements are compiled once and kept.
#ifndef CALDERA_COORDINATOR_SQLITE_H_
#define CALDERA_COORDINATOR_SQLITE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace caldera::coordinator {

// Bytes to bind as a BLOB; text binds as TEXT.
struct Blob {
  const std::string& bytes;
};

// Compiled statements that are not in use, by their SQL.
class StatementCache {
 public:
  StatementCache() = default;
  ~StatementCache();
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  // nullptr when there is none.
  sqlite3_stmt* Take(const std::string& sql);
  // Resets it and forgets what was bound.
  void Return(sqlite3_stmt* statement);

 private:
  std::map<std::string, std::vector<sqlite3_stmt*>> idle_;
};

// A prepared statement in use; it goes back to its database's cache. Bind in order, then Step until
// kDone. Errors stick: Step reports the first one.
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
  struct GiveBack {
    StatementCache* cache;
    void operator()(sqlite3_stmt* statement) const { cache->Return(statement); }
  };
  Statement(sqlite3* database, sqlite3_stmt* statement, StatementCache* cache)
      : database_(database), statement_(statement, GiveBack{cache}) {}

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, GiveBack> statement_;
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
  // INTERNAL with SQLite's message for wrong SQL. The statement must go before the database.
  absl::StatusOr<Statement> Prepare(const std::string& sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit Database(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Close> database_;
  std::unique_ptr<StatementCache> statements_ = std::make_unique<StatementCache>();
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
