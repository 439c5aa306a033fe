#include "coordinator/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "common/store/checkpoint_reader.h"
#include "coordinator/error_details.h"
#include "coordinator/sqlite.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::map<std::string, std::string> ReadOutput(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files[entry.path().filename().string()] = Must(base::ReadFile(entry.path().string()));
  }
  files.erase("run.json");
  return files;
}

std::size_t ObjectsIn(const std::string& store) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(store + "/objects/sha256")) {
    if (entry.is_regular_file()) ++count;
  }
  return count;
}

TEST(Coordinator, OneWorkerTakesAJobToAVerifiedCheckpoint) {
  Cluster cluster;
  const v1::CompressionJob created = cluster.Create("a");
  EXPECT_EQ(created.state(), v1::PENDING);
  ScriptedWorker worker(&cluster, "w1");
  worker.WorkAll();

  const v1::CompressionJob job = cluster.Get("a");
  ASSERT_EQ(job.state(), v1::SUCCEEDED) << job.error().message();
  EXPECT_EQ(worker.committed(), 14);
  EXPECT_EQ(job.progress().matrices_committed(), 14);
  EXPECT_DOUBLE_EQ(job.progress().ratio(), 1);
  const store::Checkpoint checkpoint = Must(store::OpenCheckpoint(cluster.path("out")));
  EXPECT_EQ(checkpoint.manifest_sha256, job.result().manifest_sha256());
  EXPECT_EQ(checkpoint.manifest.matrices.size(), 14U);
  EXPECT_EQ(checkpoint.manifest.model.fingerprint, job.model().sha256());
  EXPECT_TRUE(Must(store::VerifyCheckpoint(cluster.path("out"))).status().ok());
  EXPECT_TRUE(base::Exists(cluster.path("out/run.json")));
  EXPECT_TRUE(base::Exists(cluster.path("out/tokenizer.json")));
}

TEST(Coordinator, BitsPerWeightCountStoredBytesOverWeights) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker(&cluster, "w1").WorkAll();
  std::uint64_t bytes = 0;
  for (int p = 0; p < model::kProjectionCount; ++p) bytes += model::StoredBytes(TinyHeader(p));
  const double weights = 512 + 256 + 1152;
  EXPECT_DOUBLE_EQ(cluster.Get("a").result().bits_per_weight(),
                   8.0 * static_cast<double>(bytes) / weights);
}

TEST(Coordinator, ThePublishedModelOpensWithItsQuantizationConfig) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker(&cluster, "w1").WorkAll();
  const model::OpenedModel model = Must(model::OpenModel(cluster.path("out")));
  EXPECT_EQ(model.quantization_method, "caldera");
  EXPECT_EQ(model.config.hidden_size, 16);
  const std::string norm = model::InputNormName(1);
  const model::OpenedModel source = Must(model::OpenModel(cluster.path("model")));
  EXPECT_EQ(Must(model.tensors->ReadAll(norm)), Must(source.tensors->ReadAll(norm)));
}

TEST(Coordinator, TheSameJobPublishesTheSameBytesWhateverHappensOnTheWay) {
  Cluster quiet;
  quiet.Create("quiet");
  ScriptedWorker(&quiet, "w1").WorkAll();

  Cluster rough;
  rough.Create("rough");
  ScriptedWorker first(&rough, "w1");
  const v1::Lease lease = first.WorkUntilCompress();
  Must(first.CommitMatrix(lease, 0).status());
  Must(first.CommitMatrix(lease, 1).status());
  rough.Restart();
  ScriptedWorker second(&rough, "w1", "second");
  second.WorkAll();

  ASSERT_EQ(rough.Get("rough").state(), v1::SUCCEEDED) << rough.Get("rough").error().message();
  EXPECT_EQ(second.committed(), 12);  // the two committed matrices stand
  EXPECT_EQ(ReadOutput(rough.path("out")), ReadOutput(quiet.path("out")));
}

TEST(Coordinator, AWorkerThatKeepsHeartbeatingSurvivesARestartOfTheCoordinator) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  cluster.clock().Advance(absl::Seconds(80));
  cluster.Restart();
  cluster.Advance(absl::Minutes(4));  // longer than a lease, within the grace
  EXPECT_EQ(Must(worker.Heartbeat(lease, 1)).directive(), v1::HeartbeatResponse::CONTINUE);
  EXPECT_TRUE(worker.Work(lease).ok());
}

TEST(Coordinator, AnUnansweredRestartEndsTheLeaseAfterTheGrace) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  worker.Lease();
  cluster.Restart();
  cluster.Advance(absl::Minutes(5));
  EXPECT_THAT(cluster.EventTypes("a"), Contains("lease.expired"));
}

TEST(Coordinator, AJobWhosePublishingWasInterruptedIsPublishedAfterTheRestart) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  worker.WorkAll();
  // As if the process had died after the manifest, before the database heard of it.
  {
    absl::StatusOr<Database> database = Database::Open(cluster.path("state.sqlite"));
    v1::CompressionJob job = cluster.Get("a");
    job.set_state(v1::RUNNING);
    job.clear_end_time();
    job.clear_result();
    const std::string body = job.SerializeAsString();
    absl::StatusOr<Statement> update = database->Prepare("UPDATE jobs SET body = ?");
    Must(update->Bind(Blob{body}).Run().status());
    Must(
        database->Execute("INSERT INTO hessians SELECT 'a', l.v, r.v, k.v, x'' FROM "
                          "(SELECT 0 v UNION SELECT 1) l, (SELECT 0 v UNION SELECT 1) r, "
                          "(SELECT 'attn_in' v UNION SELECT 'attn_out' UNION SELECT 'mlp_in' "
                          "UNION SELECT 'mlp_down') k"));
  }
  const auto before = ReadOutput(cluster.path("out"));
  cluster.Restart();
  cluster.Drain();
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
  EXPECT_EQ(ReadOutput(cluster.path("out")), before);
}

TEST(Coordinator, OnlyAnEndedJobIsDeletedAndItsObjectsGoWithIt) {
  Cluster cluster;
  cluster.Create("a");
  EXPECT_EQ(ReasonOf(cluster.coordinator().DeleteJob("compressionJobs/a")), kReasonJobRunning);
  ScriptedWorker(&cluster, "w1").WorkAll();
  EXPECT_GT(ObjectsIn(cluster.path("store")), 0U);
  Must(cluster.coordinator().DeleteJob("compressionJobs/a"));
  EXPECT_EQ(ReasonOf(cluster.coordinator().GetJob("compressionJobs/a").status()),
            kReasonJobNotFound);
  EXPECT_EQ(ObjectsIn(cluster.path("store")), 0U);
  EXPECT_TRUE(Must(store::VerifyCheckpoint(cluster.path("out"))).status().ok());
}

TEST(Coordinator, AMatrixWhoseObjectHasGoneWithAnotherJobIsMadeAgain) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  v1::CommitMatrixRequest request;
  request.set_lease_id(lease.lease_id());
  request.set_attempt(lease.attempt());
  v1::ObjectRef gone;
  gone.set_sha256(std::string(64, 'a'));
  gone.set_size(10);
  *request.mutable_matrix() = TinyMatrix(lease.task().compress().layer(), 0, gone);
  const absl::Status status = cluster.coordinator().CommitMatrix(request).status();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  Must(worker.Fail(lease, status));
  EXPECT_EQ(cluster.Get("a").state(), v1::RUNNING);
}

TEST(Coordinator, HessiansGoWhenTheCheckpointIsPublished) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker(&cluster, "w1").WorkAll();
  EXPECT_EQ(ObjectsIn(cluster.path("store")), 14U + 3U);  // matrices and shards
}

TEST(Coordinator, AJobWaitsForAStoreThatIsAwayWhileAShardIsMade) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 7; ++p) Must(worker.CommitMatrix(lease, p).status());
  cluster.Drain();
  std::filesystem::rename(cluster.path("store"), cluster.path("away"));
  const absl::Status status = worker.Complete(lease);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(cluster.path("store")));
  EXPECT_EQ(cluster.Get("a").state(), v1::RUNNING);
  EXPECT_FALSE(cluster.coordinator().Snapshot().store_reachable);
  std::filesystem::rename(cluster.path("away"), cluster.path("store"));
  EXPECT_TRUE(worker.Complete(lease).ok());
  EXPECT_TRUE(cluster.coordinator().Snapshot().store_reachable);
}

TEST(Coordinator, AStoreThatIsBrokenWhileAShardIsMadeFailsTheJobByName) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 7; ++p) Must(worker.CommitMatrix(lease, p).status());
  cluster.Drain();
  // No wait mends staging that is no directory.
  Must(base::RemoveTree(cluster.path("store/staging")));
  Must(base::WriteFile(cluster.path("store/staging"), ""));
  EXPECT_FALSE(worker.Complete(lease).ok());
  const v1::CompressionJob job = cluster.Get("a");
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_THAT(job.error().message(), HasSubstr("shard of layer 0"));
  EXPECT_FALSE(base::Exists(cluster.path("out/manifest.json")));
}

TEST(Coordinator, ManyCompletionsOfOneLeaseAssembleItsShardOnce) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 7; ++p) Must(worker.CommitMatrix(lease, p).status());
  std::vector<absl::Status> answers(8);
  std::vector<std::thread> threads;
  for (absl::Status& answer : answers) {
    threads.emplace_back([&] { answer = worker.Complete(lease); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(std::any_of(answers.begin(), answers.end(), [](auto& a) { return a.ok(); }));
  for (const absl::Status& answer : answers) {
    EXPECT_TRUE(answer.ok() || absl::IsUnavailable(answer)) << answer;
  }
  EXPECT_TRUE(worker.Complete(lease).ok());
  EXPECT_THAT(cluster.EventTypes("a"), Contains("layer.completed").Times(1));
}

TEST(Coordinator, AJobWhoseEndCouldNotBeWrittenIsFinishedAfterTheNextTick) {
  Cluster cluster;
  cluster.Create("a");
  Database database = Must(Database::Open(cluster.path("state.sqlite")));
  // Stands for a full disk.
  Must(database.Execute(
      fmt::format("CREATE TRIGGER no_room BEFORE UPDATE ON jobs WHEN NEW.state = {}"
                  " BEGIN SELECT RAISE(ABORT, 'no room'); END",
                  static_cast<int>(v1::SUCCEEDED))));
  ScriptedWorker(&cluster, "w1").WorkAll();
  EXPECT_EQ(cluster.Get("a").state(), v1::RUNNING);
  Must(database.Execute("DROP TRIGGER no_room"));
  cluster.Advance(absl::Seconds(1));
  cluster.Drain();
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
}

TEST(Coordinator, AShardDamagedOnDiskIsNotPublished) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  worker.WorkUntilCompress();
  const std::string embeddings = base::Sha256Hex(std::span<const std::byte>(EmbeddingsObject()));
  // The embeddings come last in line here, so lease and finish the layers first.
  v1::Lease lease = worker.Lease();
  while (!lease.task().has_embeddings()) {
    Must(worker.Work(lease));
    lease = worker.Lease();
  }
  const v1::ObjectRef shard = StoreBytes(EmbeddingsObject(), &cluster.store());
  ASSERT_EQ(shard.sha256(), embeddings);
  cluster.Damage(embeddings);
  v1::CompleteLeaseRequest request;
  request.set_lease_id(lease.lease_id());
  request.set_attempt(lease.attempt());
  *request.mutable_shard() = shard;
  Must(cluster.coordinator().CompleteLease(request));
  cluster.Drain();
  EXPECT_EQ(cluster.Get("a").state(), v1::FAILED);
  EXPECT_THAT(cluster.Get("a").error().message(), HasSubstr("model-00001-of-00003.safetensors"));
  EXPECT_FALSE(base::Exists(cluster.path("out/manifest.json")));
}

}  // namespace
}  // namespace caldera::coordinator
