#include "coordinator/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

// Job "a" with three matrices of its first layer committed.
void WorkIntoALayer(Cluster& cluster) {
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 3; ++p) Must(worker.CommitMatrix(lease, p).status());
}

void Resume(Cluster& cluster) {
  v1::ResumeCompressionJobRequest request;
  request.set_name("compressionJobs/a");
  Must(cluster.coordinator().ResumeJob(request).status());
}

TEST(Recover, AJobGoesOnAfterItsDatabaseIsLost) {
  Cluster cluster;
  WorkIntoALayer(cluster);
  const v1::JobSpec spec = cluster.Get("a").spec();
  const Recovery recovery = cluster.Recover();
  ASSERT_EQ(recovery.jobs.size(), 1U);
  EXPECT_TRUE(recovery.jobs[0].recovered);
  EXPECT_EQ(recovery.jobs[0].text, "3 of 14 matrices, 16 Hessians");
  const v1::CompressionJob job = cluster.Get("a");
  EXPECT_EQ(job.state(), v1::CANCELLED);
  EXPECT_EQ(job.spec().SerializeAsString(), spec.SerializeAsString());
  EXPECT_EQ(job.progress().calibration_tasks_done(), 2);

  Resume(cluster);
  ScriptedWorker worker(&cluster, "w2");
  worker.WorkAll();
  EXPECT_EQ(worker.committed(), 14 - 3);
  Cluster undisturbed;
  undisturbed.Create("a");
  ScriptedWorker(&undisturbed, "w1").WorkAll();
  ASSERT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
  EXPECT_EQ(cluster.Get("a").result().manifest_sha256(),
            undisturbed.Get("a").result().manifest_sha256());
}

TEST(Recover, WhatTheStoreLostIsDoneAgain) {
  Cluster cluster;
  WorkIntoALayer(cluster);
  const JobState job = Must(cluster.coordinator().FindJobState("compressionJobs/a"));
  Must(
      cluster.store().RemoveObject(std::prev(job.matrices.end())->second.result.object().sha256()));
  Must(cluster.store().RemoveObject(job.hessians.begin()->second.object().sha256()));
  EXPECT_EQ(cluster.Recover().jobs[0].text, "2 of 14 matrices, 15 Hessians");
  EXPECT_EQ(cluster.Get("a").progress().calibration_tasks_done(), 1);
  Resume(cluster);
  ScriptedWorker worker(&cluster, "w2");
  worker.WorkAll();
  EXPECT_EQ(worker.committed(), 14 - 2);
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
}

TEST(Recover, APublishedJobIsLeftAlone) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker(&cluster, "w1").WorkAll();
  const Recovery recovery = cluster.Recover();
  ASSERT_EQ(recovery.jobs.size(), 1U);
  EXPECT_FALSE(recovery.jobs[0].recovered);
  EXPECT_THAT(recovery.jobs[0].text, HasSubstr("is published at"));
  EXPECT_FALSE(cluster.coordinator().GetJob("compressionJobs/a").ok());
}

TEST(Recover, ADeletedJobHasNoReceipts) {
  Cluster cluster;
  WorkIntoALayer(cluster);
  Must(cluster.coordinator().CancelJob("compressionJobs/a").status());
  Must(cluster.coordinator().DeleteJob("compressionJobs/a"));
  EXPECT_TRUE(cluster.Recover().jobs.empty());
}

TEST(Recover, ABrokenReceiptIsNamedAndOtherJobsAreRecovered) {
  Cluster cluster;
  WorkIntoALayer(cluster);
  Must(cluster.store().WriteKey("receipts/b/job.json", "{\"job\": {"));
  Must(cluster.store().WriteKey("receipts/c/0-mlp.up_proj.json", "{}"));
  const Recovery recovery = cluster.Recover();
  ASSERT_EQ(recovery.jobs.size(), 3U);
  EXPECT_TRUE(recovery.jobs[0].recovered);
  EXPECT_THAT(recovery.jobs[1].text, HasSubstr("receipts/b/job.json"));
  EXPECT_THAT(recovery.jobs[2].text, HasSubstr("receipts/c/job.json"));
}

TEST(Recover, AReceiptThatAsksForTooMuchIsNamed) {
  Cluster cluster;
  WorkIntoALayer(cluster);
  const std::string job = Must(cluster.store().ReadKey("receipts/a/job.json"));
  const auto changed = [&](const std::string& id, const std::string& from, const std::string& to) {
    std::string text = job;
    text.replace(text.find(from), from.size(), to);
    text.replace(text.find("compressionJobs/a"), 17, "compressionJobs/" + id);
    Must(cluster.store().WriteKey("receipts/" + id + "/job.json", text));
  };
  changed("b", "\"layers\":2", "\"layers\":2147483647");
  changed("c", "\"ranges\":2", "\"ranges\":2147483647");
  changed("d", "\"layers\":2", "\"layers\":2");
  Must(cluster.store().WriteKey("receipts/d/2-mlp.up_proj.json",
                                R"({"layer": 2, "matrix": {"projection": "mlp.up_proj"}})"));
  const Recovery recovery = cluster.Recover();
  ASSERT_EQ(recovery.jobs.size(), 4U);
  EXPECT_TRUE(recovery.jobs[0].recovered);
  EXPECT_THAT(recovery.jobs[1].text, HasSubstr("receipts/b/job.json: a model of 2147483647"));
  EXPECT_THAT(recovery.jobs[2].text, HasSubstr("calibration.ranges"));
  EXPECT_THAT(recovery.jobs[3].text, HasSubstr("receipts/d/2-mlp.up_proj.json: layer 2 of 2"));
}

TEST(Recover, ADatabaseWithJobsIsNotTouched) {
  Cluster cluster;
  cluster.Create("a");
  const auto states = Must(SqliteStateStore::Open(cluster.path("state.sqlite")));
  const absl::Status status = RecoverJobs(cluster.store(), cluster.clock(), *states).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("1 jobs"));
}

}  // namespace
}  // namespace caldera::coordinator
