#include "coordinator/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/store/checkpoint_reader.h"
#include "coordinator/error_details.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::Contains;
using testing::HasSubstr;

absl::StatusOr<v1::CompressionJob> Resume(Cluster& cluster, OtherVersion other) {
  v1::ResumeCompressionJobRequest request;
  request.set_name("compressionJobs/a");
  request.set_accept_version(other == OtherVersion::kAccept);
  return cluster.coordinator().ResumeJob(request);
}

absl::StatusOr<v1::CompressionJob> Resume(Cluster& cluster) {
  return Resume(cluster, OtherVersion::kRefuse);
}

// Job "a", FAILED with three matrices of its first layer committed.
void FailInMidLayer(Cluster& cluster) {
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 3; ++p) Must(worker.CommitMatrix(lease, p).status());
  Must(worker.Fail(lease, base::DataLoss("a bad disk")));
  ASSERT_EQ(cluster.Get("a").state(), v1::FAILED);
}

void ExpectDrift(const absl::Status& status, const std::string& field) {
  EXPECT_EQ(ReasonOf(status), kReasonJobDrifted) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("cannot go on: " + field + " "));
}

TEST(Resume, AFailedJobGoesOnFromWhatIsCommitted) {
  Cluster cluster;
  FailInMidLayer(cluster);
  const v1::CompressionJob resumed = Must(Resume(cluster));
  EXPECT_EQ(resumed.state(), v1::RUNNING);
  EXPECT_FALSE(resumed.has_error());
  EXPECT_FALSE(resumed.has_end_time());
  EXPECT_EQ(resumed.progress().matrices_committed(), 3);
  ScriptedWorker worker(&cluster, "w1");
  worker.WorkAll();
  EXPECT_EQ(worker.committed(), 14 - 3);
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
  EXPECT_THAT(cluster.EventTypes("a"), Contains("job.resumed"));
  EXPECT_TRUE(Must(store::VerifyCheckpoint(cluster.path("out"))).status().ok());
}

TEST(Resume, ACancelledJobGoesOnAfterARestartOfTheCoordinator) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker(&cluster, "w1").WorkUntilCompress();
  Must(cluster.coordinator().CancelJob("compressionJobs/a").status());
  cluster.Restart();
  EXPECT_EQ(Must(Resume(cluster)).state(), v1::RUNNING);
  cluster.Restart();
  ScriptedWorker(&cluster, "w1").WorkAll();
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
}

TEST(Resume, AJobThatNeverBeganIsPendingAgain) {
  Cluster cluster;
  cluster.Create("a");
  Must(cluster.coordinator().CancelJob("compressionJobs/a").status());
  EXPECT_EQ(Must(Resume(cluster)).state(), v1::PENDING);
}

TEST(Resume, ForgetsFailuresAndExclusions) {
  LeasePolicy policy;
  policy.max_failures = 2;
  policy.failures_before_exclusion = 1;
  Cluster cluster(policy);
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  Must(worker.Fail(worker.Lease(), base::Internal("x")));  // the only worker is excluded: FAILED
  ASSERT_EQ(cluster.Get("a").state(), v1::FAILED);
  Must(Resume(cluster).status());
  worker.WorkAll();
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
}

TEST(Resume, ARunningJobIsReturnedAsItIsAndASucceededOneRefused) {
  Cluster cluster;
  cluster.Create("a");
  const auto sequence = cluster.Get("a").last_event_sequence();
  EXPECT_EQ(Must(Resume(cluster)).last_event_sequence(), sequence);
  ScriptedWorker(&cluster, "w1").WorkAll();
  EXPECT_EQ(ReasonOf(Resume(cluster).status()), kReasonJobNotResumable);
}

TEST(Resume, AChangedTextIsNamed) {
  Cluster cluster;
  FailInMidLayer(cluster);
  Must(base::WriteFile(cluster.path("text.txt"), std::string(2000, 'b')));
  ExpectDrift(Resume(cluster).status(), "calibration.sha256");
  EXPECT_EQ(cluster.Get("a").state(), v1::FAILED);
}

TEST(Resume, AChangedModelIsNamed) {
  Cluster cluster;
  FailInMidLayer(cluster);
  WriteBytes(cluster.path("model/model.safetensors"),
             Must(model::WriteSafetensors({{"note", "x"}}, RandomTensors(TinyConfig()))));
  ExpectDrift(Resume(cluster).status(), "model.sha256");
}

TEST(Resume, AnotherVersionOfTheCodeIsNamedUnlessAccepted) {
  Cluster cluster;
  FailInMidLayer(cluster);
  cluster.Restart("1.1+b");
  ExpectDrift(Resume(cluster).status(), "code_version");
  const v1::CompressionJob resumed = Must(Resume(cluster, OtherVersion::kAccept));
  EXPECT_EQ(resumed.code_version(), "1.1+b");
}

TEST(Resume, AChangedParameterIsNamed) {
  Cluster cluster;
  FailInMidLayer(cluster);
  const JobState job = Must(cluster.coordinator().FindJobState("compressionJobs/a"));
  JobPlan plan = Must(ReplanJob(job.record.job.spec()));
  EXPECT_TRUE(CheckDrift(job.record, plan, "1.0+a", OtherVersion::kRefuse).ok());
  plan.spec.mutable_decomposition()->set_rank(8);
  ExpectDrift(CheckDrift(job.record, plan, "1.0+a", OtherVersion::kAccept),
              "spec.decomposition.rank");
}

// Resumes job "a" and ends it; the matrices that were computed for that.
int MatricesToTheEnd(Cluster& cluster) {
  Must(Resume(cluster).status());
  ScriptedWorker worker(&cluster, "w1");
  worker.WorkAll();
  EXPECT_EQ(cluster.Get("a").state(), v1::SUCCEEDED);
  EXPECT_TRUE(Must(store::VerifyCheckpoint(cluster.path("out"))).status().ok());
  return worker.committed();
}

std::string LossesOf(Cluster& cluster) {
  std::string losses;
  for (const v1::JobEvent& event : cluster.Events("a")) {
    if (event.type() == "object.lost") losses += event.message() + "\n";
  }
  return losses;
}

TEST(Resume, AMatrixThatTheStoreLostIsMadeAgain) {
  Cluster cluster;
  FailInMidLayer(cluster);
  const JobState job = cluster.State("a");
  Must(cluster.store().RemoveObject(job.matrices.begin()->second.result.object().sha256()));
  EXPECT_EQ(MatricesToTheEnd(cluster), 14 - 2);
  EXPECT_THAT(LossesOf(cluster), HasSubstr("layer 0 self_attn.q_proj: object "));
  EXPECT_THAT(LossesOf(cluster), HasSubstr("missing from the store"));
}

TEST(Resume, AMatrixDamagedBeforeItsShardIsMadeFailsTheJobAndIsMadeAgain) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  for (int p = 0; p < 7; ++p) Must(worker.CommitMatrix(lease, p).status());
  cluster.Damage(cluster.State("a").matrices.at({0, 4}).result.object().sha256());
  EXPECT_TRUE(absl::IsDataLoss(worker.Complete(lease)));
  EXPECT_EQ(cluster.Get("a").state(), v1::FAILED);
  EXPECT_THAT(cluster.Get("a").error().message(), HasSubstr("shard of layer 0: mlp.gate_proj"));
  EXPECT_EQ(MatricesToTheEnd(cluster), 1 + 7);
  EXPECT_THAT(LossesOf(cluster), HasSubstr("layer 0 mlp.gate_proj: object "));
  EXPECT_THAT(LossesOf(cluster), HasSubstr("damaged"));
}

TEST(Resume, ADamagedHessianIsMadeAgain) {
  Cluster cluster;
  FailInMidLayer(cluster);
  cluster.Damage(cluster.State("a").hessians.begin()->second.object().sha256());
  EXPECT_EQ(MatricesToTheEnd(cluster), 14 - 3);
  EXPECT_THAT(LossesOf(cluster), HasSubstr("Hessian "));
}

TEST(Resume, ADamagedShardIsAssembledAgainWithoutComputing) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  Must(worker.Work(worker.WorkUntilCompress()));
  cluster.Damage(FindTask(cluster.State("a"), "compress-0")->shard.sha256());
  Must(cluster.coordinator().CancelJob("compressionJobs/a").status());
  EXPECT_EQ(MatricesToTheEnd(cluster), 7);  // of the other layer
  EXPECT_THAT(LossesOf(cluster), HasSubstr("shard of compress-0"));
}

TEST(Resume, AnotherStoreIsRefused) {
  Cluster cluster;
  FailInMidLayer(cluster);
  Must(base::RemoveTree(cluster.path("store/objects")));
  const absl::Status status = Resume(cluster).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("is it another one?"));
  EXPECT_EQ(cluster.Get("a").state(), v1::FAILED);
}

}  // namespace
}  // namespace caldera::coordinator
