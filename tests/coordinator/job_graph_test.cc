#include "coordinator/job_graph.h"

#include <gtest/gtest.h>

#include "coordinator/leases.h"
#include "coordinator/scheduler.h"
#include "tests/coordinator/job_samples.h"

namespace caldera::coordinator {
namespace {

TEST(JobGraph, HasATaskPerRangeOneForEmbeddingsAndOnePerLayer) {
  const JobState job = SampleJob("a", 0);
  std::vector<std::string> ids;
  for (const TaskRecord& task : job.tasks) ids.push_back(task.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"calibrate-0", "calibrate-1", "embeddings", "compress-0",
                                           "compress-1"}));
}

TEST(JobGraph, ALayerWaitsForItsOwnHessiansOfEveryRange) {
  JobState job = SampleJob("a", 0);
  const TaskRecord first = *FindTask(job, "compress-0");
  const TaskRecord second = *FindTask(job, "compress-1");
  CommitHessians(0, 0, &job);
  EXPECT_FALSE(InputsReady(job, first));
  CommitHessians(0, 1, &job);
  EXPECT_TRUE(InputsReady(job, first));
  EXPECT_FALSE(InputsReady(job, second));
  EXPECT_TRUE(InputsReady(job, *FindTask(job, "embeddings")));
}

TEST(JobGraph, ALeaseListsHessiansByRangeAndWhatIsCommitted) {
  JobState job = SampleJob("a", 0);
  CommitHessians(0, 0, &job);
  CommitHessians(0, 1, &job);
  CommitMatrix(0, 2, 0.1, &job);
  const v1::Task task = DescribeTask(job, *FindTask(job, "compress-0"));
  EXPECT_EQ(task.compress().hessians_size(), 8);
  EXPECT_EQ(task.compress().hessians(0).range(), 0);
  EXPECT_EQ(task.compress().hessians(7).range(), 1);
  ASSERT_EQ(task.compress().committed_size(), 1);
  EXPECT_EQ(task.compress().committed(0), "self_attn.v_proj");
}

TEST(JobGraph, ATargetBringsAProbePerRangeAndAtMostOnePerLayer) {
  JobState job = SampleJob("a", 0, 2.5);
  std::vector<std::string> ids;
  for (const TaskRecord& task : job.tasks) ids.push_back(task.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"calibrate-0", "calibrate-1", "embeddings", "probe-0",
                                           "probe-1", "compress-0", "compress-1"}));
  v1::JobSpec spec = job.record.job.spec();
  spec.mutable_calibration()->set_ranges(5);
  EXPECT_EQ(MakeTasks(job.record.id, spec, 2, {}).size(), 5U + 1 + 2 + 2);
}

TEST(JobGraph, ProbesShareOutTheLayers) {
  JobState job = SampleJob("a", 0, 2.5);
  job.record.job.mutable_model()->set_layers(7);
  const LayerSpan first = ProbeLayers(job, *FindTask(job, "probe-0"));
  const LayerSpan second = ProbeLayers(job, *FindTask(job, "probe-1"));
  EXPECT_EQ(first.first, 0);
  EXPECT_EQ(first.last, second.first);
  EXPECT_EQ(second.last, 7);
}

TEST(JobGraph, AProbeWaitsForTheHessiansOfItsLayersAndGetsThem) {
  JobState job = SampleJob("a", 0, 2.5);
  const TaskRecord probe = *FindTask(job, "probe-1");
  CommitHessians(0, 0, &job);
  CommitHessians(0, 1, &job);
  CommitHessians(1, 0, &job);
  EXPECT_FALSE(InputsReady(job, probe));
  CommitHessians(1, 1, &job);
  EXPECT_TRUE(InputsReady(job, probe));
  const v1::ProbeTask task = DescribeTask(job, probe).probe();
  EXPECT_EQ(task.first_layer(), 1);
  EXPECT_EQ(task.last_layer(), 2);
  ASSERT_EQ(task.hessians_size(), 8);
  for (const v1::HessianRef& hessian : task.hessians()) EXPECT_EQ(hessian.layer(), 1);
}

TEST(JobGraph, WithATargetALayerWaitsForItsAllotmentAndIsToldIt) {
  JobState job = SampleJob("a", 0, 2.5);
  CommitHessians(0, 0, &job);
  CommitHessians(0, 1, &job);
  TaskRecord layer = *FindTask(job, "compress-0");
  EXPECT_FALSE(InputsReady(job, layer));
  layer.q_bits = {2, 2, 3, 2.5, 2, 2, 4};
  EXPECT_TRUE(InputsReady(job, layer));
  const v1::CompressTask task = DescribeTask(job, layer).compress();
  EXPECT_EQ(std::vector<double>(task.q_bits().begin(), task.q_bits().end()), layer.q_bits);
  EXPECT_EQ(QBitsOf(job.record.job.spec(), layer, 2), 3);
}

TEST(JobGraph, AllProbesAreThereWhenEveryProbeTaskIsDone) {
  JobState job = SampleJob("a", 0, 2.5);
  for (TaskRecord& task : job.tasks) {
    if (task.kind != TaskKind::kProbe) continue;
    EXPECT_FALSE(AllProbes(job).has_value());
    task.state = TaskState::kDone;
    task.probes.resize(7);
    task.probes.front().set_layer(task.index);
  }
  ASSERT_TRUE(AllProbes(job).has_value());
  EXPECT_EQ(AllProbes(job)->size(), 14U);
  EXPECT_EQ(AllProbes(job)->at(7).layer(), 1);
}

TEST(JobGraph, ProgressCountsMatricesAndAveragesTheirErrors) {
  JobState job = SampleJob("a", 0);
  job.record.job.set_state(v1::RUNNING);
  job.record.job.mutable_start_time()->set_seconds(1000);
  const absl::Time now = absl::FromUnixSeconds(1100);
  EXPECT_EQ(ComputeProgress(job, now).eta_seconds(), -1);
  CommitMatrix(0, 0, 0.1, &job);
  CommitMatrix(0, 1, 0.3, &job);
  const v1::JobProgress progress = ComputeProgress(job, now);
  EXPECT_EQ(progress.matrices(), 14);
  EXPECT_EQ(progress.matrices_committed(), 2);
  EXPECT_EQ(progress.layers(), 2);
  EXPECT_EQ(progress.layers_done(), 0);
  EXPECT_DOUBLE_EQ(progress.mean_relative_error(), 0.2);
  EXPECT_GT(progress.ratio(), 0);
  EXPECT_NEAR(progress.eta_seconds(), 100 * (1 - progress.ratio()) / progress.ratio(), 1e-9);
}

TEST(JobGraph, ProgressReachesOneWhenAllTasksAreDone) {
  JobState job = SampleJob("a", 0);
  for (TaskRecord& task : job.tasks) task.state = TaskState::kDone;
  EXPECT_TRUE(AllTasksDone(job));
  EXPECT_DOUBLE_EQ(ComputeProgress(job, absl::UnixEpoch()).ratio(), 1);
}

TEST(JobGraph, JobNamesAreParsedStrictly) {
  EXPECT_EQ(ParseJobName("compressionJobs/x")->value(), "x");
  for (const char* bad :
       {"", "x", "compressionJobs/", "compressionJobs/X", "jobs/x", "compressionJobs/x/layers/1"}) {
    EXPECT_EQ(ParseJobName(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(JobGraph, WorkGrowsWithTokensAndMatrices) {
  const JobState job = SampleJob("a", 0);
  v1::JobSpec spec = job.record.job.spec();
  const WorkEstimate work = EstimateWork(TinyConfig(), spec);
  spec.mutable_calibration()->set_samples(2 * spec.calibration().samples());
  const WorkEstimate doubled = EstimateWork(TinyConfig(), spec);
  EXPECT_DOUBLE_EQ(doubled.calibrate, 2 * work.calibrate);
  EXPECT_DOUBLE_EQ(doubled.compress, work.compress);
}

class Scheduling : public testing::Test {
 protected:
  std::string Pick(const std::string& worker, absl::Time until = absl::InfiniteFuture()) const {
    const auto key = PickTask(state_, {base::WorkerId(worker), until, 0}, policy_, now_);
    return key.has_value() ? key->job.value() + "/" + key->task : "";
  }
  TaskRecord& Task(const std::string& job, const std::string& id) {
    for (TaskRecord& task : state_.jobs.at(job).tasks) {
      if (task.id == id) return task;
    }
    return state_.jobs.at(job).tasks.at(99);
  }
  void Lease(const std::string& job, const std::string& id) {
    Task(job, id) =
        Grant(Task(job, id), {base::WorkerId("other"), "i", base::LeaseId(id)}, policy_, now_);
  }

  const LeasePolicy policy_;
  const absl::Time now_ = absl::FromUnixSeconds(5000);
  ClusterState state_ = {{{"a", SampleJob("a", 1)}, {"b", SampleJob("b", 0)}}, {}};
};

TEST_F(Scheduling, OlderJobsComeFirst) { EXPECT_EQ(Pick("w"), "b/calibrate-0"); }

TEST_F(Scheduling, PriorityBeatsAge) {
  state_.jobs.at("a").record.job.set_priority(1);
  EXPECT_EQ(Pick("w"), "a/calibrate-0");
}

TEST_F(Scheduling, EndedJobsGiveNothing) {
  state_.jobs.at("b").record.job.set_state(v1::CANCELLED);
  EXPECT_EQ(Pick("w"), "a/calibrate-0");
}

TEST_F(Scheduling, CalibrationComesBeforeBiggerLayers) {
  CommitHessians(0, 0, &state_.jobs.at("b"));
  CommitHessians(0, 1, &state_.jobs.at("b"));
  Lease("b", "calibrate-0");
  EXPECT_EQ(Pick("w"), "b/calibrate-1");
  Lease("b", "calibrate-1");
  EXPECT_EQ(Pick("w"), "b/compress-0");
  Lease("b", "compress-0");
  EXPECT_EQ(Pick("w"), "b/embeddings");
  Lease("b", "embeddings");
  EXPECT_EQ(Pick("w"), "a/calibrate-0");
}

TEST_F(Scheduling, ProbesComeBeforeEmbeddings) {
  state_.jobs.at("b") = SampleJob("b", 0, 2.5);
  for (const int layer : {0, 1}) {
    CommitHessians(layer, 0, &state_.jobs.at("b"));
    CommitHessians(layer, 1, &state_.jobs.at("b"));
  }
  Lease("b", "calibrate-0");
  Lease("b", "calibrate-1");
  EXPECT_EQ(Pick("w"), "b/probe-0");
}

TEST_F(Scheduling, AWorkerWithTooLittleMemoryGetsTheNextJob) {
  state_.jobs.at("b").record.job.set_worker_memory_bytes(2000);
  const auto pick = [this](std::int64_t memory, const LeasePolicy& policy) {
    const WorkRequest request{base::WorkerId("w"), absl::InfiniteFuture(), memory};
    return PickTask(state_, request, policy, now_)->job.value();
  };
  EXPECT_EQ(pick(1999, policy_), "a");
  EXPECT_EQ(pick(2000, policy_), "b");
  EXPECT_EQ(pick(0, policy_), "b");
  LeasePolicy generous;
  generous.memory_share = .5;
  EXPECT_EQ(pick(1999, generous), "b");
}

TEST_F(Scheduling, BackoffAndExclusionPassATaskOver) {
  Task("b", "calibrate-0").not_before = now_ + absl::Seconds(1);
  EXPECT_EQ(Pick("w"), "b/calibrate-1");
  Task("b", "calibrate-1").failures_of_worker["w"] = 2;
  EXPECT_EQ(Pick("w"), "b/embeddings");
  EXPECT_EQ(Pick("v"), "b/calibrate-1");
}

TEST_F(Scheduling, NothingIsLeasedThatCannotFinish) {
  EXPECT_EQ(Pick("w", now_ + policy_.lease - absl::Seconds(1)), "");
  EXPECT_EQ(Pick("w", now_ + policy_.lease), "b/calibrate-0");
  TaskRecord& done = Task("b", "calibrate-1");
  done.state = TaskState::kDone;
  done.seconds = 1000;
  EXPECT_EQ(Pick("w", now_ + absl::Seconds(999)), "b/embeddings");
  EXPECT_EQ(Pick("w", now_ + absl::Seconds(1000)), "b/calibrate-0");
}

TEST_F(Scheduling, AUnitFailedEverywhereOnlyWhenEveryLiveWorkerIsExcluded) {
  TaskRecord& task = Task("b", "calibrate-0");
  EXPECT_FALSE(FailedEverywhere(state_, task, policy_, now_));
  for (const char* id : {"w", "v", "lost"}) {
    state_.workers[id].id = base::WorkerId(id);
    state_.workers[id].last_seen = now_;
  }
  state_.workers["lost"].last_seen = now_ - policy_.lease;
  task.failures_of_worker = {{"w", 2}};
  EXPECT_FALSE(FailedEverywhere(state_, task, policy_, now_));
  task.failures_of_worker = {{"w", 2}, {"v", 2}};
  EXPECT_TRUE(FailedEverywhere(state_, task, policy_, now_));
}

}  // namespace
}  // namespace caldera::coordinator
