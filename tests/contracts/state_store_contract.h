// What every StateStore promises (coordinator/state_store.h), as a typed test suite. An
// implementation instantiates it with a fixture type that has `StateStore* store()` and
// `StateStore* Reopen()`, which gives the same state again as after a restart of the process.
#ifndef CALDERA_TESTS_CONTRACTS_STATE_STORE_CONTRACT_H_
#define CALDERA_TESTS_CONTRACTS_STATE_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/error_details.h"
#include "coordinator/state_store.h"
#include "tests/contracts/state_store_samples.h"

namespace caldera::coordinator {

template <typename Fixture>
class StateStoreContract : public testing::Test {
 protected:
  StateStore& store() { return *fixture_.store(); }
  ClusterState Reload() { return *fixture_.Reopen()->Load(); }
  Fixture fixture_;
};

TYPED_TEST_SUITE_P(StateStoreContract);

TYPED_TEST_P(StateStoreContract, IsEmptyAtFirst) {
  const ClusterState state = this->Reload();
  EXPECT_TRUE(state.jobs.empty());
  EXPECT_TRUE(state.workers.empty());
}

TYPED_TEST_P(StateStoreContract, GivesBackEveryFieldOfATask) {
  ASSERT_TRUE(this->store().Apply(ContractSetup()).ok());
  const ClusterState state = this->Reload();
  ASSERT_EQ(state.jobs.at("a").tasks.size(), 1U);
  const TaskRecord& task = state.jobs.at("a").tasks[0];
  const TaskRecord expected = ContractTask("a", "compress-4");
  EXPECT_EQ(task.id, expected.id);
  EXPECT_EQ(task.kind, expected.kind);
  EXPECT_EQ(task.index, expected.index);
  EXPECT_EQ(task.work, expected.work);
  EXPECT_EQ(task.state, expected.state);
  EXPECT_EQ(task.failures_of_worker, expected.failures_of_worker);
  EXPECT_EQ(task.last_error, expected.last_error);
  EXPECT_EQ(task.fence, expected.fence);
  EXPECT_EQ(task.incarnation, expected.incarnation);
  EXPECT_EQ(task.granted, expected.granted);
  EXPECT_EQ(task.deadline, expected.deadline);
  EXPECT_EQ(task.not_before, absl::InfinitePast());
  EXPECT_EQ(task.attempts, 3);
  ASSERT_TRUE(task.rival.has_value());
  EXPECT_EQ(task.rival->fence, expected.rival->fence);
  EXPECT_EQ(task.rival->worker, expected.rival->worker);
  EXPECT_EQ(task.rival->incarnation, expected.rival->incarnation);
  EXPECT_EQ(task.rival->granted, expected.rival->granted);
  EXPECT_EQ(task.rival->deadline, expected.rival->deadline);
}

TYPED_TEST_P(StateStoreContract, TheFenceOfARivalChangesTheTaskUntilItIsLost) {
  ASSERT_TRUE(this->store().Apply(ContractSetup()).ok());
  const Fence rival{base::LeaseId("rival"), 3};
  TaskRecord task = ContractTask("a", "compress-4");
  task.last_error = "changed by the rival";
  Transition change;
  change.tasks.push_back({task, rival});
  ASSERT_TRUE(this->store().Apply(change).ok());
  EXPECT_EQ(this->Reload().jobs.at("a").tasks[0].last_error, "changed by the rival");
  task.rival.reset();
  change.tasks = {{task, task.fence}};
  ASSERT_TRUE(this->store().Apply(change).ok());
  EXPECT_FALSE(this->Reload().jobs.at("a").tasks[0].rival.has_value());
  change.tasks = {{task, rival}};
  EXPECT_EQ(ReasonOf(this->store().Apply(change)), kReasonStaleLease);
}

TYPED_TEST_P(StateStoreContract, GivesBackJobsMatricesHessiansAndWorkers) {
  Transition transition = ContractSetup();
  MatrixRecord matrix;
  matrix.result.set_projection("self_attn.q_proj");
  matrix.attempt = 2;
  matrix.worker = base::WorkerId("w1");
  transition.matrices.push_back({base::JobId("a"), {4, 0}, matrix});
  v1::HessianRef hessian;
  hessian.set_layer(4);
  hessian.set_range(1);
  hessian.set_kind("attn_in");
  transition.hessians.push_back({base::JobId("a"), hessian});
  WorkerRecord worker;
  worker.id = base::WorkerId("w1");
  worker.incarnation = "i1";
  worker.host = "node7";
  transition.workers.push_back(worker);
  ASSERT_TRUE(this->store().Apply(transition).ok());

  const ClusterState state = this->Reload();
  const JobState& job = state.jobs.at("a");
  EXPECT_EQ(job.record.calibration_tokens, 12345);
  EXPECT_EQ(job.record.last_sequence, 3);
  EXPECT_EQ(job.record.job.state(), v1::RUNNING);
  EXPECT_EQ(job.matrices.at({4, 0}).result.projection(), "self_attn.q_proj");
  EXPECT_EQ(job.matrices.at({4, 0}).attempt, 2);
  EXPECT_EQ(job.hessians.count({4, 1, "attn_in"}), 1U);
  EXPECT_EQ(state.workers.at("w1").host, "node7");
}

TYPED_TEST_P(StateStoreContract, KeepsTasksInTheOrderOfInsertion) {
  Transition transition;
  transition.jobs.push_back(ContractJob("a", 0));
  const std::vector<std::string> ids = {"compress-10", "compress-9", "calibrate-0"};
  for (const std::string& id : ids) transition.tasks.push_back({ContractTask("a", id), {}});
  ASSERT_TRUE(this->store().Apply(transition).ok());
  std::vector<std::string> loaded;
  const ClusterState state = this->Reload();
  for (const TaskRecord& task : state.jobs.at("a").tasks) loaded.push_back(task.id);
  EXPECT_EQ(loaded, ids);
}

TYPED_TEST_P(StateStoreContract, ALiveFenceChangesItsTask) {
  ASSERT_TRUE(this->store().Apply(ContractSetup()).ok());
  TaskRecord task = ContractTask("a", "compress-4");
  const Fence fence = task.fence;
  task.state = TaskState::kDone;
  task.shard.set_sha256("shard");
  task.rank_flops = {1, 2};
  task.probes.emplace_back().set_divergence(.25);
  task.q_bits = {2, 2.5, 4};
  Transition transition;
  transition.tasks.push_back({task, fence});
  ASSERT_TRUE(this->store().Apply(transition).ok());
  const ClusterState state = this->Reload();
  EXPECT_EQ(state.jobs.at("a").tasks[0].state, TaskState::kDone);
  EXPECT_EQ(state.jobs.at("a").tasks[0].shard.sha256(), "shard");
  EXPECT_EQ(state.jobs.at("a").tasks[0].rank_flops, (std::vector<double>{1, 2}));
  ASSERT_EQ(state.jobs.at("a").tasks[0].probes.size(), 1U);
  EXPECT_EQ(state.jobs.at("a").tasks[0].probes[0].divergence(), .25);
  EXPECT_EQ(state.jobs.at("a").tasks[0].q_bits, (std::vector<double>{2, 2.5, 4}));
}

TYPED_TEST_P(StateStoreContract, AStaleFenceChangesNothingAtAll) {
  ASSERT_TRUE(this->store().Apply(ContractSetup()).ok());
  TaskRecord task = ContractTask("a", "compress-4");
  task.state = TaskState::kDone;
  Transition transition;
  transition.jobs.push_back(ContractJob("b", 1));
  transition.events.push_back(ContractEvent("a", 4));
  transition.tasks.push_back({task, Fence{base::LeaseId("lease"), 1}});
  const absl::Status status = this->store().Apply(transition);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), kReasonStaleLease);
  const ClusterState state = this->Reload();
  EXPECT_EQ(state.jobs.count("b"), 0U);
  EXPECT_EQ(state.jobs.at("a").tasks[0].state, TaskState::kLeased);
  EXPECT_TRUE(this->fixture_.store()->ReadEvents(base::JobId("a"), 0, 10)->empty());
}

TYPED_TEST_P(StateStoreContract, AFenceDoesNotOpenATaskThatIsDone) {
  Transition setup = ContractSetup();
  setup.tasks[0].task.state = TaskState::kDone;
  ASSERT_TRUE(this->store().Apply(setup).ok());
  Transition transition;
  transition.tasks.push_back({setup.tasks[0].task, setup.tasks[0].task.fence});
  EXPECT_EQ(this->store().Apply(transition).code(), absl::StatusCode::kFailedPrecondition);
}

TYPED_TEST_P(StateStoreContract, CommitsAMatrixOnce) {
  Transition transition = ContractSetup();
  transition.matrices.push_back({base::JobId("a"), {4, 0}, {}});
  ASSERT_TRUE(this->store().Apply(transition).ok());
  Transition again;
  again.matrices.push_back({base::JobId("a"), {4, 0}, {}});
  EXPECT_EQ(this->store().Apply(again).code(), absl::StatusCode::kAlreadyExists);
}

TYPED_TEST_P(StateStoreContract, RefusesRowsOfUnknownJobs) {
  Transition transition;
  transition.tasks.push_back({ContractTask("nobody", "x"), std::nullopt});
  EXPECT_EQ(this->store().Apply(transition).code(), absl::StatusCode::kNotFound);
}

TYPED_TEST_P(StateStoreContract, OneRequestIdMakesOneJob) {
  Transition first;
  first.jobs.push_back(ContractJob("a", 0));
  first.jobs[0].request_id = "r";
  ASSERT_TRUE(this->store().Apply(first).ok());
  ASSERT_TRUE(this->store().Apply(first).ok());  // an update of the same job
  Transition second;
  second.jobs.push_back(ContractJob("b", 1));
  second.jobs[0].request_id = "r";
  EXPECT_EQ(this->store().Apply(second).code(), absl::StatusCode::kAlreadyExists);
}

TYPED_TEST_P(StateStoreContract, ReadsEventsAfterASequenceInOrder) {
  Transition transition = ContractSetup();
  for (const int sequence : {1, 2, 3, 4, 5}) {
    transition.events.push_back(ContractEvent("a", sequence));
  }
  ASSERT_TRUE(this->store().Apply(transition).ok());
  const auto events = *this->fixture_.Reopen()->ReadEvents(base::JobId("a"), 2, 2);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].sequence(), 3);
  EXPECT_EQ(events[1].message(), "event 4");
  EXPECT_TRUE(this->fixture_.store()->ReadEvents(base::JobId("a"), 5, 2)->empty());
  EXPECT_TRUE(this->fixture_.store()->ReadEvents(base::JobId("z"), 0, 2)->empty());
}

TYPED_TEST_P(StateStoreContract, DeletesAJobWithAllBelowIt) {
  Transition transition = ContractSetup();
  transition.jobs.push_back(ContractJob("b", 1));
  transition.matrices.push_back({base::JobId("a"), {4, 0}, {}});
  transition.events.push_back(ContractEvent("a", 1));
  ASSERT_TRUE(this->store().Apply(transition).ok());
  Transition removal;
  removal.deleted_jobs.push_back(base::JobId("a"));
  ASSERT_TRUE(this->store().Apply(removal).ok());
  EXPECT_EQ(this->Reload().jobs.count("a"), 0U);
  EXPECT_EQ(this->Reload().jobs.count("b"), 1U);
  EXPECT_TRUE(this->fixture_.store()->ReadEvents(base::JobId("a"), 0, 9)->empty());
}

TYPED_TEST_P(StateStoreContract, LosesOneMatrixAndOneHessianAndTakesThemAgain) {
  ASSERT_TRUE(this->store().Apply(ContractSetup()).ok());
  Transition transition;
  v1::HessianRef hessian;
  hessian.set_layer(4);
  hessian.set_kind("attn_in");
  transition.hessians.push_back({base::JobId("a"), hessian});
  transition.matrices.push_back({base::JobId("a"), {4, 2}, {}});
  ASSERT_TRUE(this->store().Apply(transition).ok());
  Transition kept;
  hessian.set_range(1);
  kept.hessians.push_back({base::JobId("a"), hessian});
  kept.matrices.push_back({base::JobId("a"), {4, 3}, {}});
  ASSERT_TRUE(this->store().Apply(kept).ok());

  Transition loss;
  loss.lost_matrices.push_back({base::JobId("a"), {4, 2}});
  loss.lost_hessians.push_back({base::JobId("a"), {4, 0, "attn_in"}});
  ASSERT_TRUE(this->store().Apply(loss).ok());

  const JobState job = this->Reload().jobs.at("a");
  ASSERT_EQ(job.matrices.size(), 1U);
  EXPECT_EQ(job.matrices.begin()->first, MatrixKey(4, 3));
  ASSERT_EQ(job.hessians.size(), 1U);
  EXPECT_EQ(job.hessians.begin()->first, HessianKey(4, 1, "attn_in"));
  EXPECT_TRUE(this->store().Apply(transition).ok());
}

TYPED_TEST_P(StateStoreContract, ForgetsTheHessiansOfOneJob) {
  Transition transition = ContractSetup();
  v1::HessianRef hessian;
  hessian.set_kind("attn_in");
  transition.hessians.push_back({base::JobId("a"), hessian});
  ASSERT_TRUE(this->store().Apply(transition).ok());
  Transition removal;
  removal.forgotten_hessians.push_back(base::JobId("a"));
  ASSERT_TRUE(this->store().Apply(removal).ok());
  EXPECT_TRUE(this->Reload().jobs.at("a").hessians.empty());
}

REGISTER_TYPED_TEST_SUITE_P(StateStoreContract, IsEmptyAtFirst, GivesBackEveryFieldOfATask,
                            TheFenceOfARivalChangesTheTaskUntilItIsLost,
                            GivesBackJobsMatricesHessiansAndWorkers,
                            KeepsTasksInTheOrderOfInsertion, ALiveFenceChangesItsTask,
                            AStaleFenceChangesNothingAtAll, AFenceDoesNotOpenATaskThatIsDone,
                            CommitsAMatrixOnce, RefusesRowsOfUnknownJobs, OneRequestIdMakesOneJob,
                            ReadsEventsAfterASequenceInOrder, DeletesAJobWithAllBelowIt,
                            LosesOneMatrixAndOneHessianAndTakesThemAgain,
                            ForgetsTheHessiansOfOneJob);

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_CONTRACTS_STATE_STORE_CONTRACT_H_
