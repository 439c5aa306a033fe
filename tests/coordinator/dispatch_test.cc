#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "coordinator/coordinator.h"
#include "coordinator/error_details.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST(Dispatch, LeasesTellTheTextsDigestAndAnswersTheCoordinatorsTime) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.Lease();
  EXPECT_EQ(lease.calibration_sha256(),
            base::Sha256Hex(Must(base::ReadFile(cluster.path("text.txt")))));
  EXPECT_EQ(Must(worker.Heartbeat(lease, 1)).coordinator_time().seconds(),
            absl::ToUnixSeconds(cluster.clock().Now()));
}

TEST(Dispatch, AStaleAttemptChangesNothing) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker slow(&cluster, "slow");
  const v1::Lease stale = slow.WorkUntilCompress();
  cluster.Advance(absl::Minutes(2));
  ScriptedWorker quick(&cluster, "quick");
  v1::Lease fresh = quick.Lease();
  while (fresh.task().task_id() != stale.task().task_id()) {
    Must(quick.Work(fresh));
    fresh = quick.Lease();
  }
  EXPECT_EQ(fresh.attempt(), stale.attempt() + 1);
  EXPECT_EQ(ReasonOf(slow.CommitMatrix(stale, 0).status()), kReasonStaleLease);
  EXPECT_EQ(ReasonOf(slow.Complete(stale)), kReasonStaleLease);
  EXPECT_EQ(Must(slow.Heartbeat(stale, 1)).directive(), v1::HeartbeatResponse::CANCEL);
  EXPECT_EQ(cluster.Get("a").progress().matrices_committed() % 7, 0);
}

TEST(Dispatch, ACompletionAfterExpiryButBeforeRedispatchIsAccepted) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.Lease();
  Must(worker.CommitHessians(lease, 0));
  Must(worker.CommitHessians(lease, 1));
  cluster.Advance(absl::Hours(1));
  EXPECT_THAT(cluster.EventTypes("a"), Contains("lease.expired"));
  EXPECT_TRUE(worker.Complete(lease).ok());
  EXPECT_TRUE(worker.Complete(lease).ok());  // and again
  EXPECT_EQ(cluster.Get("a").progress().calibration_tasks_done(), 1);
}

TEST(Dispatch, AMatrixOfAnEarlierAttemptStands) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  EXPECT_FALSE(Must(worker.CommitMatrix(lease, 0, 1)).already_committed());
  EXPECT_TRUE(Must(worker.CommitMatrix(lease, 0, 2)).already_committed());
  EXPECT_EQ(cluster.Get("a").progress().matrices_committed(), 1);
  cluster.Drain();
  const std::string receipt = Must(cluster.store().ReadKey("receipts/a/0-self_attn.q_proj.json"));
  EXPECT_THAT(receipt, HasSubstr(base::Sha256Hex(MatrixObject(0, 0, 1))));
}

TEST(Dispatch, ANewIncarnationEndsTheOldLeaseAtOnce) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker old(&cluster, "w1", "one");
  const v1::Lease lease = old.Lease();
  ScriptedWorker fresh(&cluster, "w1", "two");
  EXPECT_EQ(ReasonOf(old.Heartbeat(lease, 1).status()), kReasonStaleIncarnation);
  EXPECT_EQ(ReasonOf(old.Complete(lease)), kReasonStaleLease);
  EXPECT_EQ(fresh.Lease().attempt(), 2);
}

TEST(Dispatch, AWorkerThatLeavesFreesItsUnitWithoutBlame) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker leaving(&cluster, "w1");
  const v1::Lease lease = leaving.Lease();
  Must(leaving.Unregister());
  EXPECT_EQ(ReasonOf(leaving.Complete(lease)), kReasonStaleLease);
  EXPECT_EQ(ReasonOf(leaving.Acquire().status()), kReasonStaleIncarnation);
  const v1::Lease again = ScriptedWorker(&cluster, "w2").Lease();
  EXPECT_EQ(again.task().task_id(), lease.task().task_id());
  EXPECT_EQ(Must(cluster.coordinator().ListWorkers({})).workers(0).state(), "gone");
  leaving.Register();
  EXPECT_EQ(Must(cluster.coordinator().ListWorkers({})).workers(0).state(), "idle");
  EXPECT_EQ(leaving.Lease().task().task_id(), "calibrate-1");
}

TEST(Dispatch, AWaitOfAWorkerThatLeavesIsAnsweredAtOnceAndGetsNothing) {
  Cluster cluster;
  ScriptedWorker leaving(&cluster, "w1");
  absl::Status answer;
  cluster.coordinator().AcquireLease(
      leaving.WaitingFor(20), [&answer](const auto& response) { answer = response.status(); });
  Must(leaving.Unregister());
  EXPECT_EQ(ReasonOf(answer), kReasonStaleIncarnation);
}

TEST(Dispatch, AWorkerWhoseAnswerWasLostGetsTheSameLeaseAgain) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  EXPECT_EQ(worker.Lease().lease_id(), worker.Lease().lease_id());
}

TEST(Dispatch, AnUnknownWorkerMustRegister) {
  Cluster cluster;
  v1::HeartbeatRequest request;
  request.set_worker_id("nobody");
  EXPECT_EQ(ReasonOf(cluster.coordinator().Heartbeat(request).status()), kReasonUnknownWorker);
}

TEST(Dispatch, AWaitingWorkerGetsTheLeaseWhenAJobComes) {
  Cluster cluster;
  ScriptedWorker worker(&cluster, "w1");
  int answers = 0;
  v1::AcquireLeaseResponse answer;
  const auto done = [&](absl::StatusOr<v1::AcquireLeaseResponse> response) {
    ++answers;
    answer = Must(std::move(response));
  };
  cluster.coordinator().AcquireLease(worker.WaitingFor(20), done);
  cluster.Advance(absl::Seconds(19));
  EXPECT_EQ(answers, 0);
  cluster.Create("a");
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(answer.lease().task().task_id(), "calibrate-0");
}

TEST(Dispatch, ALongPollEndsEmptyAfterItsTime) {
  Cluster cluster;
  ScriptedWorker worker(&cluster, "w1");
  bool answered = false;
  cluster.coordinator().AcquireLease(  // the wait is cut to 30 s
      worker.WaitingFor(3600),
      [&](const auto& response) { answered = response.ok() && !response->has_lease(); });
  cluster.Advance(absl::Seconds(29));
  EXPECT_FALSE(answered);
  cluster.Advance(absl::Seconds(1));
  EXPECT_TRUE(answered);
}

TEST(Dispatch, AnErrorThatNoRetryMendsFailsTheJobNamingTheTask) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  Must(worker.Fail(worker.Lease(), base::DataLoss("NaN in model.layers.0.mlp.up_proj.weight")));
  const v1::CompressionJob job = cluster.Get("a");
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_THAT(job.error().message(), HasSubstr("calibrate-0"));
  EXPECT_THAT(job.error().message(), HasSubstr("mlp.up_proj"));
  EXPECT_FALSE(base::Exists(cluster.path("out/manifest.json")));
}

TEST(Dispatch, AFailureIsRetriedAfterItsBackoffAndTwiceByOneWorkerAtMost) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker bad(&cluster, "bad");
  ScriptedWorker good(&cluster, "good");
  Must(bad.Fail(bad.Lease(), base::Unavailable("flaky")));
  EXPECT_EQ(bad.Lease().task().task_id(), "calibrate-1");
  cluster.Advance(absl::Seconds(30));
  EXPECT_EQ(good.Lease().task().task_id(), "calibrate-0");
}

TEST(Dispatch, AUnitThatFailsEverywhereFailsTheJobWithTheLastError) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  for (int i = 0; i < 2; ++i) {
    v1::Lease lease = worker.Lease();
    ASSERT_EQ(lease.task().task_id(), "calibrate-0");
    Must(worker.Fail(lease, base::Unavailable("broken {}", i)));
    if (i == 0) cluster.Advance(absl::Seconds(30));
  }
  EXPECT_EQ(cluster.Get("a").state(), v1::FAILED);
  EXPECT_THAT(cluster.Get("a").error().message(), HasSubstr("broken 1"));
}

TEST(Dispatch, ADrainingWorkerGivesItsUnitBackWithoutBlame) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  for (int i = 0; i < 10; ++i) {
    const v1::Lease lease = worker.Lease();
    EXPECT_EQ(lease.task().task_id(), "calibrate-0");
    Must(worker.Fail(lease, base::Cancelled("draining")));
  }
  EXPECT_EQ(cluster.Get("a").state(), v1::RUNNING);
}

TEST(Dispatch, ACancelledJobTellsItsWorkersAndTakesNothingMore) {
  Cluster cluster;
  cluster.Create("a");
  ScriptedWorker worker(&cluster, "w1");
  const v1::Lease lease = worker.WorkUntilCompress();
  EXPECT_EQ(Must(cluster.coordinator().CancelJob("compressionJobs/a")).state(), v1::CANCELLED);
  EXPECT_EQ(Must(worker.Heartbeat(lease, 1)).directive(), v1::HeartbeatResponse::CANCEL);
  EXPECT_EQ(ReasonOf(worker.CommitMatrix(lease, 0).status()), kReasonStaleLease);
  EXPECT_EQ(worker.Lease().lease_id(), "");
  EXPECT_EQ(Must(cluster.coordinator().CancelJob("compressionJobs/a")).state(), v1::CANCELLED);
}

}  // namespace
}  // namespace caldera::coordinator
