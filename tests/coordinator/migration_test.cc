// Databases of every earlier version of the program open and lose nothing.
#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "common/base/status.h"
#include "coordinator/sqlite_schema.h"
#include "coordinator/sqlite_state_store.h"
#include "tests/coordinator/old_databases.h"

namespace caldera::coordinator {
namespace {

// Name and text of everything in the schema.
std::string SchemaOf(const std::string& path) {
  absl::StatusOr<Database> database = Database::Open(path);
  absl::StatusOr<Statement> rows =
      database->Prepare("SELECT name || ': ' || ifnull(sql, '') FROM sqlite_master ORDER BY name");
  std::string schema;
  while (*rows->Step() == Statement::Row::kRow) schema += rows->Bytes(0) + "\n";
  return schema;
}

class Migration : public testing::TestWithParam<int> {
 protected:
  Migration() {
    absl::StatusOr<Database> database = Database::Open(path());
    EXPECT_TRUE(database->Execute(kOldDatabases.at(static_cast<std::size_t>(GetParam() - 1))).ok());
    EXPECT_TRUE(database->Execute("PRAGMA user_version = " + std::to_string(GetParam())).ok());
  }
  std::string path() const { return directory_.path() + "/state.sqlite"; }
  std::string fresh() const { return directory_.path() + "/fresh.sqlite"; }

  const base::TempDirectory directory_ = *base::TempDirectory::Create();
};

TEST_P(Migration, KeepsEveryRow) {
  const auto store = SqliteStateStore::Open(path());
  ASSERT_TRUE(store.ok()) << store.status();
  const ClusterState state = *(*store)->Load();
  const JobState& job = state.jobs.at("a");
  EXPECT_EQ(job.record.ordinal, 4);
  EXPECT_EQ(job.record.request_id, "request");
  EXPECT_EQ(job.record.calibration_tokens, 12345);
  EXPECT_EQ(job.record.job.name(), "compressionJobs/a");
  EXPECT_EQ(job.record.job.state(), v1::RUNNING);
  ASSERT_EQ(job.tasks.size(), 2U);
  EXPECT_EQ(job.tasks[0].state, TaskState::kDone);
  EXPECT_EQ(job.tasks[0].shard.sha256(), "ab");
  EXPECT_EQ(job.tasks[0].seconds, 12.5);
  EXPECT_EQ(job.tasks[1].id, "compress-4");
  EXPECT_EQ(job.tasks[1].work, 1.5e9);
  EXPECT_EQ(job.tasks[1].failures_of_worker, (std::map<std::string, int>{{"w0", 2}}));
  EXPECT_EQ(job.tasks[1].last_error, "it broke");
  EXPECT_EQ(job.matrices.at({4, 0}).result.projection(), "self_attn.q_proj");
  EXPECT_EQ(job.hessians.at({4, 1, "attn_in"}).range(), 1);
  EXPECT_EQ(state.workers.at("w1").host, "node7");
  const auto events = *(*store)->ReadEvents(base::JobId("a"), 0, 9);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type(), "job.created");
}

TEST_P(Migration, ALeaseOfBeforeIsHeldOnAlone) {
  const auto store = *SqliteStateStore::Open(path());
  TaskRecord task = (*store->Load()).jobs.at("a").tasks[1];
  EXPECT_EQ(task.state, TaskState::kLeased);
  EXPECT_EQ(task.fence, (Fence{base::LeaseId("l1"), 3}));
  EXPECT_EQ(task.attempts, 3);
  EXPECT_EQ(task.deadline, absl::FromUnixMillis(1'700'000'090'123));
  EXPECT_FALSE(task.rival.has_value());
  task.state = TaskState::kDone;
  Transition transition;
  transition.tasks.push_back({task, task.fence});
  EXPECT_TRUE(store->Apply(transition).ok());
  EXPECT_EQ((*store->Load()).jobs.at("a").tasks[1].state, TaskState::kDone);
}

TEST_P(Migration, EndsAtTheSchemaOfANewDatabase) {
  ASSERT_TRUE(SqliteStateStore::Open(path()).ok());
  ASSERT_TRUE(SqliteStateStore::Open(fresh()).ok());
  EXPECT_EQ(SchemaOf(path()), SchemaOf(fresh()));
}

INSTANTIATE_TEST_SUITE_P(FromVersion, Migration, testing::Range(1, kSchemaVersion));

TEST(OldDatabases, ThereIsOneOfEveryEarlierVersion) {
  EXPECT_EQ(kOldDatabases.size() + 1, std::size_t{kSchemaVersion});
}

// The second had bits allotted to its matrices.
TEST(OldDatabases, AllotmentsOfTheSecondAreKept) {
  const base::TempDirectory directory = *base::TempDirectory::Create();
  const std::string path = directory.path() + "/state.sqlite";
  {
    absl::StatusOr<Database> database = Database::Open(path);
    ASSERT_TRUE(database->Execute(kOldDatabases[1]).ok());
    ASSERT_TRUE(database->Execute("PRAGMA user_version = 2").ok());
  }
  const ClusterState state = *(*SqliteStateStore::Open(path))->Load();
  EXPECT_EQ(state.jobs.at("a").tasks[1].q_bits, std::vector<double>(3, 2.5));
}

}  // namespace
}  // namespace caldera::coordinator
