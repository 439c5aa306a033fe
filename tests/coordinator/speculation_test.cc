// Second leases for units that run late: two holders, one result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "coordinator/error_details.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr absl::Duration kUsual = absl::Seconds(40);

// "slow" holds one of the two layers for longer than it took "quick" to do the other; everything
// else is done, and "quick" has just got the same layer.
class Speculation : public testing::Test {
 protected:
  Speculation() : Speculation(LeasePolicy()) {}
  explicit Speculation(const LeasePolicy& policy) : cluster_(policy) { cluster_.Create("a"); }

  void LetSlowRunLate() {
    slow_lease_ = slow_.WorkUntilCompress();
    v1::Lease other = quick_.Lease();
    while (!other.task().has_compress()) {  // the embeddings
      Must(quick_.Work(other));
      other = quick_.Lease();
    }
    Pass(kUsual);
    Must(quick_.Work(other));
    const v1::Lease last = quick_.Lease();
    if (!last.lease_id().empty()) Must(quick_.Work(last));
  }
  // The slow worker goes on heartbeating meanwhile.
  void Pass(absl::Duration time) {
    for (absl::Duration step = absl::Seconds(5); time > absl::ZeroDuration(); time -= step) {
      cluster_.Advance(step);
      Must(slow_.Heartbeat(slow_lease_, ++beats_).status());
    }
  }
  void Contest() {
    LetSlowRunLate();
    Pass(kUsual);
    quick_lease_ = quick_.Lease();
    ASSERT_EQ(quick_lease_.task().task_id(), slow_lease_.task().task_id());
  }
  void ExpectSlowIsTold() {
    EXPECT_EQ(Must(slow_.Heartbeat(slow_lease_, 999)).directive(), v1::HeartbeatResponse::CANCEL);
    EXPECT_EQ(ReasonOf(slow_.CommitMatrix(slow_lease_, 6).status()), kReasonStaleLease);
    EXPECT_EQ(ReasonOf(slow_.Complete(slow_lease_)), kReasonStaleLease);
  }
  void ExpectSuccess() {
    cluster_.Drain();
    EXPECT_EQ(cluster_.Get("a").state(), v1::SUCCEEDED) << cluster_.Get("a").error().message();
    EXPECT_EQ(cluster_.Get("a").progress().matrices_committed(), 14);
    EXPECT_EQ(Output(cluster_), Undisturbed());
  }
  static std::map<std::string, std::string> Output(const Cluster& cluster) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(cluster.path("out"))) {
      files[entry.path().filename().string()] = Must(base::ReadFile(entry.path().string()));
    }
    files.erase("run.json");
    return files;
  }
  static std::map<std::string, std::string> Undisturbed() {
    Cluster quiet;
    quiet.Create("quiet");
    ScriptedWorker(&quiet, "w").WorkAll();
    return Output(quiet);
  }

  Cluster cluster_;
  ScriptedWorker slow_{&cluster_, "slow"};
  ScriptedWorker quick_{&cluster_, "quick"};
  v1::Lease slow_lease_;
  v1::Lease quick_lease_;
  std::int64_t beats_ = 1;
};

TEST_F(Speculation, AnIdleWorkerGetsAUnitThatRunsLateElsewhereAndNotBefore) {
  LetSlowRunLate();  // for 40 s, as long as the other layer took
  Pass(absl::Seconds(20));
  EXPECT_EQ(quick_.Lease().lease_id(), "");
  Pass(absl::Seconds(5));
  const v1::Lease lease = quick_.Lease();
  EXPECT_EQ(lease.task().task_id(), slow_lease_.task().task_id());
  EXPECT_EQ(lease.attempt(), slow_lease_.attempt() + 1);
  EXPECT_NE(lease.lease_id(), slow_lease_.lease_id());
  EXPECT_EQ(quick_.Lease().lease_id(), lease.lease_id());  // asked again: the same
  ScriptedWorker third(&cluster_, "third");
  EXPECT_EQ(third.Lease().lease_id(), "");
}

TEST_F(Speculation, AWorkerThatWaitsGetsItWhenTheTimeHasCome) {
  LetSlowRunLate();
  v1::AcquireLeaseRequest request;
  request.set_worker_id("quick");
  request.set_incarnation("first");
  request.set_wait_seconds(30);
  std::string task;
  cluster_.coordinator().AcquireLease(
      request, [&task](const auto& answer) { task = answer->lease().task().task_id(); });
  Pass(absl::Seconds(25));
  EXPECT_EQ(task, slow_lease_.task().task_id());
}

TEST_F(Speculation, TheFirstCommitOfAMatrixStandsAndTheFirstCompletionWins) {
  Contest();
  EXPECT_FALSE(Must(quick_.CommitMatrix(quick_lease_, 0)).already_committed());
  EXPECT_TRUE(Must(slow_.CommitMatrix(slow_lease_, 0)).already_committed());
  EXPECT_FALSE(Must(slow_.CommitMatrix(slow_lease_, 1)).already_committed());
  EXPECT_TRUE(Must(quick_.CommitMatrix(quick_lease_, 1)).already_committed());
  Must(quick_.Work(quick_lease_));
  EXPECT_TRUE(quick_.Complete(quick_lease_).ok());  // and again
  ExpectSlowIsTold();
  EXPECT_THAT(cluster_.EventTypes("a"), Contains("lease.ended"));
  ExpectSuccess();
}

TEST_F(Speculation, TheLateOneMayStillBeFirst) {
  Contest();
  Must(quick_.CommitMatrix(quick_lease_, 0).status());
  Must(slow_.Work(slow_lease_));
  EXPECT_EQ(Must(quick_.Heartbeat(quick_lease_, 1)).directive(), v1::HeartbeatResponse::CANCEL);
  EXPECT_EQ(ReasonOf(quick_.Complete(quick_lease_)), kReasonStaleLease);
  ExpectSuccess();
}

TEST_F(Speculation, BothHoldersOutliveTheCoordinator) {
  Contest();
  Must(quick_.CommitMatrix(quick_lease_, 0).status());
  cluster_.Restart();
  EXPECT_EQ(Must(slow_.Heartbeat(slow_lease_, 50)).directive(), v1::HeartbeatResponse::CONTINUE);
  EXPECT_EQ(Must(quick_.Heartbeat(quick_lease_, 2)).directive(), v1::HeartbeatResponse::CONTINUE);
  Must(slow_.CommitMatrix(slow_lease_, 1).status());
  cluster_.Restart();
  EXPECT_EQ(quick_.Lease().lease_id(), quick_lease_.lease_id());
  Must(quick_.Work(quick_lease_));
  cluster_.Restart();
  ExpectSlowIsTold();
  ExpectSuccess();
}

TEST_F(Speculation, WhenTheLateOneIsLostTheOtherGoesOn) {
  Contest();
  for (int i = 0; i < 10; ++i) {
    cluster_.Advance(absl::Seconds(10));
    EXPECT_EQ(Must(quick_.Heartbeat(quick_lease_, i)).directive(), v1::HeartbeatResponse::CONTINUE);
  }
  EXPECT_THAT(cluster_.EventTypes("a"), Contains("lease.expired"));
  ExpectSlowIsTold();
  Must(quick_.Work(quick_lease_));
  ExpectSuccess();
}

TEST_F(Speculation, WhenTheSecondIsLostTheLateOneGoesOn) {
  Contest();
  Pass(absl::Seconds(100));
  EXPECT_THAT(cluster_.EventTypes("a"), Contains("lease.expired"));
  EXPECT_EQ(ReasonOf(quick_.CommitMatrix(quick_lease_, 0).status()), kReasonStaleLease);
  Must(slow_.Work(slow_lease_));
  ExpectSuccess();
}

TEST_F(Speculation, WhenBothAreLostTheUnitIsGivenAgain) {
  Contest();
  cluster_.Advance(absl::Minutes(3));
  ScriptedWorker third(&cluster_, "third");
  const v1::Lease lease = third.Lease();
  EXPECT_EQ(lease.task().task_id(), slow_lease_.task().task_id());
  EXPECT_EQ(lease.attempt(), 3);
  ExpectSlowIsTold();
  Must(third.Work(lease));
  ExpectSuccess();
}

TEST_F(Speculation, AFailureOfTheSecondIsItsOwn) {
  Contest();
  Must(quick_.Fail(quick_lease_, base::Unavailable("no memory today")));
  EXPECT_EQ(Must(slow_.Heartbeat(slow_lease_, 999)).directive(), v1::HeartbeatResponse::CONTINUE);
  quick_lease_ = quick_.Lease();
  ASSERT_EQ(quick_lease_.attempt(), 3);
  Must(quick_.Fail(quick_lease_, base::Unavailable("nor now")));
  EXPECT_EQ(quick_.Lease().lease_id(), "");  // excluded
  Must(slow_.Work(slow_lease_));
  ExpectSuccess();
}

TEST_F(Speculation, ANewIncarnationEndsOnlyItsOwnLease) {
  Contest();
  ScriptedWorker again(&cluster_, "quick", "second");
  EXPECT_EQ(ReasonOf(quick_.Complete(quick_lease_)), kReasonStaleLease);
  Must(slow_.Work(slow_lease_));
  ExpectSuccess();
}

TEST_F(Speculation, ADrainingSecondLeavesTheUnitToTheFirst) {
  Contest();
  Must(quick_.Fail(quick_lease_, base::Cancelled("draining")));
  Must(slow_.Work(slow_lease_));
  ExpectSuccess();
}

TEST_F(Speculation, ACancelledJobTellsBoth) {
  Contest();
  Must(cluster_.coordinator().CancelJob("compressionJobs/a").status());
  ExpectSlowIsTold();
  EXPECT_EQ(Must(quick_.Heartbeat(quick_lease_, 1)).directive(), v1::HeartbeatResponse::CANCEL);
}

TEST_F(Speculation, AnErrorThatNoRetryMendsFailsTheJobWhoeverMeetsIt) {
  Contest();
  Must(quick_.Fail(quick_lease_, base::DataLoss("damaged weights")));
  EXPECT_EQ(cluster_.Get("a").state(), v1::FAILED);
  ExpectSlowIsTold();
}

TEST_F(Speculation, BothWorkersAreShownWithTheirAttempts) {
  Contest();
  const v1::ListWorkersResponse workers = Must(cluster_.coordinator().ListWorkers({}));
  ASSERT_EQ(workers.workers_size(), 2);
  EXPECT_THAT(workers.workers(0).lease(), HasSubstr("attempt 2"));
  EXPECT_THAT(workers.workers(1).lease(), HasSubstr("attempt 1"));
  EXPECT_EQ(cluster_.coordinator().Snapshot().leases, 2);
}

class NoSpeculation : public Speculation {
 protected:
  static LeasePolicy Never() {
    LeasePolicy policy;
    policy.speculate_after = 0;
    return policy;
  }
  NoSpeculation() : Speculation(Never()) {}
};

TEST_F(NoSpeculation, IsWhatZeroMeans) {
  LetSlowRunLate();
  Pass(absl::Minutes(10));
  EXPECT_EQ(quick_.Lease().lease_id(), "");
}

}  // namespace
}  // namespace caldera::coordinator
