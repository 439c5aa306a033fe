// Which workers get leases, and keep them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/error_details.h"
#include "tests/coordinator/scripted_worker.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

TEST(Admission, AWorkerThatHangsIsToldToStopAndItsUnitIsAnothers) {
  LeasePolicy policy;
  policy.stall_timeout = absl::Seconds(60);
  Cluster cluster(policy);
  cluster.Create("a");
  ScriptedWorker hung(&cluster, "hung");
  const v1::Lease lease = hung.Lease();
  v1::HeartbeatResponse::Directive directive = v1::HeartbeatResponse::CONTINUE;
  for (int beat = 0; beat < 4; ++beat) {
    directive = Must(hung.Heartbeat(lease, 1)).directive();
    cluster.Advance(absl::Seconds(15));
  }
  EXPECT_EQ(directive, v1::HeartbeatResponse::CONTINUE);
  EXPECT_EQ(Must(hung.Heartbeat(lease, 1)).directive(), v1::HeartbeatResponse::CANCEL);
  EXPECT_EQ(ReasonOf(hung.Complete(lease)), kReasonStaleLease);
  EXPECT_EQ(ScriptedWorker(&cluster, "other").Lease().task().task_id(), "calibrate-0");
}

TEST(Admission, AWorkerWithTooLittleMemoryWaitsAndTheJobSaysWhyOnce) {
  Cluster cluster;
  const v1::CompressionJob job = cluster.Create("a");
  ASSERT_GT(job.worker_memory_bytes(), 0);
  ScriptedWorker small(&cluster, "small");
  small.Register(job.worker_memory_bytes() - 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(small.Lease().lease_id(), "");
  EXPECT_THAT(cluster.EventTypes("a"), testing::ElementsAre("job.created", "job.waiting"));
  ScriptedWorker large(&cluster, "large");
  large.Register(job.worker_memory_bytes());
  EXPECT_EQ(large.Lease().task().task_id(), "calibrate-0");
}

TEST(Admission, AWorkerOfAnotherVersionIsRefused) {
  Cluster cluster;
  v1::RegisterRequest request;
  request.set_worker_id("old");
  request.set_incarnation("first");
  request.set_version("0.0.9");
  const absl::Status status = cluster.coordinator().Register(request).status();
  EXPECT_EQ(ReasonOf(status), kReasonVersionMismatch);
  EXPECT_THAT(status.message(), HasSubstr("0.0.9"));
}

TEST(Admission, AJobOfOtherCodeFailsWhenTheCoordinatorStartsAndGoesOnWhenToldTo) {
  Cluster cluster;
  cluster.Create("running");
  cluster.Create("waiting");
  ScriptedWorker worker(&cluster, "w1");
  ASSERT_EQ(worker.Lease().job(), "compressionJobs/running");
  cluster.Restart("1.1+b");

  const v1::CompressionJob failed = cluster.Get("running");
  EXPECT_EQ(failed.state(), v1::FAILED);
  EXPECT_THAT(failed.error().message(), HasSubstr("code_version was 1.0+a"));
  EXPECT_THAT(failed.error().message(), HasSubstr("--accept-version"));
  EXPECT_EQ(cluster.Get("waiting").state(), v1::PENDING);
  EXPECT_EQ(cluster.Get("waiting").code_version(), "1.1+b");
  v1::ResumeCompressionJobRequest resume;
  resume.set_name("compressionJobs/running");
  resume.set_accept_version(true);
  EXPECT_EQ(Must(cluster.coordinator().ResumeJob(resume)).state(), v1::RUNNING);
}

}  // namespace
}  // namespace caldera::coordinator
