#include "coordinator/invariants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "tests/coordinator/job_samples.h"

namespace caldera::coordinator {
namespace {

class Invariants : public testing::Test {
 protected:
  Invariants() {
    state_.jobs["a"] = SampleJob("a", 0);
    job().record.job.set_state(v1::RUNNING);
  }
  JobState& job() { return state_.jobs.at("a"); }
  TaskRecord& task(std::size_t index) { return job().tasks.at(index); }
  void Lease(std::size_t index, const std::string& worker, const std::string& lease) {
    state_.workers[worker].incarnation = "i";
    task(index) = Grant(task(index), {base::WorkerId(worker), "i", base::LeaseId(lease)}, policy_,
                        absl::UnixEpoch());
  }
  void Rival(const std::string& worker, const std::string& lease) {
    state_.workers[worker].incarnation = "i";
    task(0) = GrantRival(task(0), {base::WorkerId(worker), "i", base::LeaseId(lease)}, policy_,
                         absl::UnixEpoch());
  }
  std::string Broken() const { return base::MessageOf(CheckInvariants(state_, policy_)); }

  LeasePolicy policy_;
  ClusterState state_;
};

TEST_F(Invariants, HoldForAnEmptyClusterAndForAFreshJob) {
  EXPECT_TRUE(CheckInvariants({}, policy_).ok());
  EXPECT_EQ(Broken(), "");
  Lease(0, "w1", "l1");
  EXPECT_EQ(Broken(), "");
}

TEST_F(Invariants, ALeaseIdBelongsToOneTask) {
  Lease(0, "w1", "l1");
  Lease(1, "w2", "l1");
  EXPECT_THAT(Broken(), testing::HasSubstr("shares its lease id"));
}

TEST_F(Invariants, AWorkerHoldsOneLease) {
  Lease(0, "w1", "l1");
  Lease(1, "w1", "l2");
  EXPECT_THAT(Broken(), testing::HasSubstr("two leases"));
}

TEST_F(Invariants, AHolderIsRegisteredInItsIncarnationWithEnoughMemory) {
  Lease(0, "w1", "l1");
  state_.workers["w1"].incarnation = "a later one";
  EXPECT_THAT(Broken(), testing::HasSubstr("incarnation that is over"));
  state_.workers["w1"].incarnation = "i";
  state_.workers["w1"].memory_bytes = 999;
  EXPECT_EQ(Broken(), "");
  job().record.job.set_worker_memory_bytes(1000);
  EXPECT_THAT(Broken(), testing::HasSubstr("too little memory"));
  state_.workers.clear();
  EXPECT_THAT(Broken(), testing::HasSubstr("not registered"));
}

TEST_F(Invariants, ARivalIsAnotherWorkerWithALeaseOfItsOwn) {
  Lease(0, "w1", "l1");
  const TaskRecord alone = task(0);
  Rival("w2", "l2");
  EXPECT_EQ(Broken(), "");
  task(0).rival->fence.lease = base::LeaseId("l1");
  EXPECT_THAT(Broken(), testing::HasSubstr("shares its lease id"));
  task(0) = alone;
  Rival("w1", "l2");
  EXPECT_THAT(Broken(), testing::HasSubstr("its own rival"));
  task(0) = alone;
  Rival("w2", "l2");
  Lease(1, "w2", "l3");
  EXPECT_THAT(Broken(), testing::HasSubstr("two leases"));
}

TEST_F(Invariants, OnlyALeasedTaskHasARival) {
  Lease(0, "w1", "l1");
  Rival("w2", "l2");
  task(0).state = TaskState::kLapsed;
  EXPECT_THAT(Broken(), testing::HasSubstr("a rival of nobody"));
}

TEST_F(Invariants, AttemptsAreThoseThatWereGiven) {
  Lease(0, "w1", "l1");
  Rival("w2", "l2");
  task(0).rival->fence.attempt = 3;
  EXPECT_THAT(Broken(), testing::HasSubstr("not given to it"));
  task(0).rival.reset();
  task(0).fence.attempt = 3;
  EXPECT_THAT(Broken(), testing::HasSubstr("beyond those given"));
}

TEST_F(Invariants, ResultsAreOfTasksThatThereAre) {
  CommitMatrix(1, 6, .1, &job());
  CommitHessians(1, 1, &job());
  EXPECT_EQ(Broken(), "");
  CommitHessians(1, 2, &job());
  EXPECT_THAT(Broken(), testing::HasSubstr("a Hessian of no task"));
  job().hessians.clear();
  CommitMatrix(2, 0, .1, &job());
  EXPECT_THAT(Broken(), testing::HasSubstr("a matrix of no task"));
}

TEST_F(Invariants, JobsDifferInNumberAndRequest) {
  state_.jobs["b"] = SampleJob("b", 0);
  EXPECT_THAT(Broken(), testing::HasSubstr("creation number"));
  state_.jobs["b"].record.ordinal = 1;
  EXPECT_EQ(Broken(), "");
  for (auto& [id, other] : state_.jobs) other.record.request_id = "r";
  EXPECT_THAT(Broken(), testing::HasSubstr("request id"));
}

TEST_F(Invariants, AnEndedJobHoldsNoLease) {
  Lease(0, "w1", "l1");
  job().record.job.set_state(v1::CANCELLED);
  job().record.job.mutable_end_time()->set_seconds(1);
  EXPECT_THAT(Broken(), testing::HasSubstr("although the job has ended"));
}

TEST_F(Invariants, APendingJobHasGivenNoLease) {
  job().record.job.set_state(v1::PENDING);
  Lease(0, "w1", "l1");
  EXPECT_THAT(Broken(), testing::HasSubstr("although the job is pending"));
}

TEST_F(Invariants, ALayerIsNotLeasedBeforeItsHessians) {
  Lease(3, "w1", "l1");
  EXPECT_THAT(Broken(), testing::HasSubstr("without its inputs"));
  CommitHessians(0, 0, &job());
  CommitHessians(0, 1, &job());
  EXPECT_EQ(Broken(), "");
}

TEST_F(Invariants, ADoneLayerHasItsMatricesAndItsShard) {
  CommitHessians(0, 0, &job());
  CommitHessians(0, 1, &job());
  task(3).state = TaskState::kDone;
  EXPECT_THAT(Broken(), testing::HasSubstr("seven matrices"));
  for (int p = 0; p < model::kProjectionCount; ++p) CommitMatrix(0, p, 0.1, &job());
  EXPECT_THAT(Broken(), testing::HasSubstr("without a shard"));
  task(3).shard.set_sha256("x");
  EXPECT_EQ(Broken(), "");
}

TEST_F(Invariants, OnlyFailedJobsHaveAnError) {
  job().record.job.mutable_error()->set_code(3);
  EXPECT_THAT(Broken(), testing::HasSubstr("error belongs to failed jobs"));
}

TEST_F(Invariants, ASucceededJobHasDoneEverything) {
  job().record.job.set_state(v1::SUCCEEDED);
  job().record.job.mutable_end_time()->set_seconds(1);
  EXPECT_THAT(Broken(), testing::HasSubstr("without a manifest"));
}

TEST_F(Invariants, FailuresStayWithinTheCap) {
  task(0).failures = policy_.max_failures + 1;
  EXPECT_THAT(Broken(), testing::HasSubstr("more often than the cap"));
}

}  // namespace
}  // namespace caldera::coordinator
