#include "coordinator/state_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "common/base/file.h"
#include "coordinator/memory_state_store.h"
#include "coordinator/sqlite_schema.h"
#include "coordinator/sqlite_state_store.h"
#include "tests/contracts/state_store_contract.h"

namespace caldera::coordinator {
namespace {

class MemoryFixture {
 public:
  StateStore* store() { return &store_; }
  StateStore* Reopen() { return &store_; }

 private:
  MemoryStateStore store_;
};

class SqliteFixture {
 public:
  SqliteFixture() { Reopen(); }
  StateStore* store() { return store_.get(); }
  StateStore* Reopen() {
    store_.reset();
    store_ = std::move(*SqliteStateStore::Open(path()));
    return store_.get();
  }

 private:
  std::string path() const { return directory_.path() + "/state.sqlite"; }
  base::TempDirectory directory_ = *base::TempDirectory::Create();
  std::unique_ptr<SqliteStateStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StateStoreContract, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StateStoreContract, SqliteFixture);

TEST(SqliteStateStore, RefusesAFileThatIsNoDatabase) {
  const base::TempDirectory directory = *base::TempDirectory::Create();
  const std::string path = directory.path() + "/state.sqlite";
  ASSERT_TRUE(base::WriteFile(path, std::string(4096, 'x')).ok());
  EXPECT_EQ(SqliteStateStore::Open(path).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SqliteStateStore, RefusesTheSchemaOfANewerProgram) {
  const base::TempDirectory directory = *base::TempDirectory::Create();
  const std::string path = directory.path() + "/state.sqlite";
  {
    absl::StatusOr<Database> database = Database::Open(path);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(
        database->Execute("PRAGMA user_version = " + std::to_string(kSchemaVersion + 1)).ok());
  }
  EXPECT_EQ(SqliteStateStore::Open(path).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SqliteStateStore, SaysWhenARowDoesNotParse) {
  const base::TempDirectory directory = *base::TempDirectory::Create();
  const std::string path = directory.path() + "/state.sqlite";
  ASSERT_TRUE((*SqliteStateStore::Open(path))->Apply(ContractSetup()).ok());
  {
    absl::StatusOr<Database> database = Database::Open(path);
    ASSERT_TRUE(database->Execute("UPDATE jobs SET body = x'ffffff'").ok());
  }
  EXPECT_EQ((*SqliteStateStore::Open(path))->Load().status().code(), absl::StatusCode::kDataLoss);
}

TEST(SqliteStateStore, CannotOpenInAMissingDirectory) {
  EXPECT_EQ(SqliteStateStore::Open("/nowhere/at/all.sqlite").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(Sqlite, ATransactionThatGoesWithoutCommitLeavesNothing) {
  const base::TempDirectory directory = *base::TempDirectory::Create();
  absl::StatusOr<Database> database = Database::Open(directory.path() + "/x.sqlite");
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a INTEGER) STRICT").ok());
  {
    absl::StatusOr<SqliteTransaction> transaction = SqliteTransaction::Begin(&*database);
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1)").ok());
  }
  absl::StatusOr<Statement> count = database->Prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(count->Step().ok());
  EXPECT_EQ(count->Integer(0), 0);
}

}  // namespace
}  // namespace caldera::coordinator
