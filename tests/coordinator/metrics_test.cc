#include "coordinator/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, CountCallsByMethodAndCode) {
  Metrics metrics;
  metrics.GrpcHandled("AcquireLease", "OK", 0.2);
  metrics.GrpcHandled("AcquireLease", "OK", 0.2);
  const std::string text = metrics.Scrape();
  EXPECT_THAT(text,
              HasSubstr("caldera_grpc_server_handled_total{code=\"OK\",method=\"AcquireLease\""
                        "} 2"));
  EXPECT_THAT(text,
              HasSubstr("caldera_grpc_server_handling_seconds_count{method=\"AcquireLease\"} 2"));
}

TEST(Metrics, KnowEveryNameOfTheServicePage) {
  Metrics metrics;
  metrics.AttemptEnded(TaskKind::kCompress, "completed");
  metrics.TaskCompleted(TaskKind::kCompress, 3);
  metrics.TaskExhausted(TaskKind::kCompress);
  metrics.QueueWaited(1);
  metrics.MatrixCommitted("mlp.up_proj", 0.07);
  metrics.StoreBytesWritten(100);
  metrics.StoreCommitTook(0.1);
  metrics.SetSnapshotSource([] {
    ClusterSnapshot snapshot;
    snapshot.jobs["running"] = 1;
    snapshot.active.push_back({"a", 0.5, 12, absl::FromUnixSeconds(100)});
    snapshot.store_reachable = false;
    snapshot.store_free_bytes = 4096;
    snapshot.state_free_bytes = 512;
    snapshot.last_heartbeats["w1"] = absl::FromUnixSeconds(99);
    return snapshot;
  });
  const std::string text = metrics.Scrape();
  for (const char* name : {"caldera_build_info{",
                           "caldera_jobs{state=\"running\"} 1",
                           "caldera_leases_active 0",
                           "caldera_job_progress_ratio{job_id=\"a\"} 0.5",
                           "caldera_job_eta_seconds{job_id=\"a\"} 12",
                           "caldera_job_last_progress_timestamp_seconds{job_id=\"a\"} 100",
                           "caldera_worker_last_heartbeat_timestamp_seconds{worker_id=\"w1\"} 99",
                           "caldera_lease_expirations_total 0",
                           "caldera_task_attempts_total{kind=\"compress\",outcome=\"completed\"} 1",
                           "caldera_task_duration_seconds_count{kind=\"compress\"} 1",
                           "caldera_tasks_exhausted_total{kind=\"compress\"} 1",
                           "caldera_tasks_exhausted_total{kind=\"calibrate\"} 0",
                           "caldera_store_up 0",
                           "caldera_store_free_bytes 4096",
                           "caldera_state_free_bytes 512",
                           "caldera_queue_wait_seconds_count 1",
                           "caldera_relative_error_count{projection=\"mlp.up_proj\"} 1",
                           "caldera_store_bytes_written_total 100",
                           "caldera_store_commit_seconds_count 1",
                           "caldera_store_verify_failures_total 0",
                           "process_resident_memory_bytes",
                           "process_cpu_seconds_total",
                           "process_open_fds",
                           "process_start_time_seconds"}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
}

TEST(Metrics, StopAskingWhenTheSourceGoes) {
  Metrics metrics;
  metrics.SetSnapshotSource([] { return ClusterSnapshot(); });
  EXPECT_THAT(metrics.Scrape(), HasSubstr("caldera_leases_active"));
  metrics.SetSnapshotSource(nullptr);
  EXPECT_THAT(metrics.Scrape(), Not(HasSubstr("caldera_leases_active")));
}

TEST(Metrics, ATakenPortIsAClearError) {
  Metrics first;
  ASSERT_TRUE(first.Listen("127.0.0.1:0").ok());
  const std::string address = "127.0.0.1:" + std::to_string(first.port());
  Metrics second;
  const absl::Status status = second.Listen(address);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::MessageOf(status), "metrics on " + address + ": Address already in use");
}

}  // namespace
}  // namespace caldera::coordinator
