#include "coordinator/job_graph.h"

#include <gtest/gtest.h>

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

TEST(JobGraph, WhatIsCommittedIsTakenOffTheRemainingWork) {
  JobState job = SampleJob("a", 0);
  const WorkEstimate work = EstimateWork(TinyConfig(), job.record.job.spec());
  TaskRecord layer = *FindTask(job, "compress-1");
  layer.work = work.compress;
  EXPECT_DOUBLE_EQ(RemainingWork(job, layer), work.compress);
  CommitMatrix(1, 6, 0.1, &job);  // mlp.down_proj: 16 x 24
  EXPECT_DOUBLE_EQ(RemainingWork(job, layer), work.compress - MatrixWork(16, 24));
  for (int p = 0; p < model::kProjectionCount; ++p) CommitMatrix(1, p, 0.1, &job);
  EXPECT_NEAR(RemainingWork(job, layer), 0, 1e-9 * work.compress);

  const TaskRecord range = *FindTask(job, "calibrate-1");
  CommitHessians(0, 1, &job);
  EXPECT_DOUBLE_EQ(RemainingWork(job, range), range.work / 2);
  EXPECT_DOUBLE_EQ(RemainingWork(job, *FindTask(job, "calibrate-0")), range.work);
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

}  // namespace
}  // namespace caldera::coordinator
