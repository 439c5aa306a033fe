#include "coordinator/job_quota.h"

#include <gtest/gtest.h>

#include "coordinator/error_details.h"

namespace caldera::coordinator {
namespace {

class JobQuota : public testing::Test {
 protected:
  void Add(const std::string& owner, v1::State state) {
    const std::string id = "job-" + std::to_string(state_.jobs.size());
    JobState& job = state_.jobs[id];
    job.record.id = base::JobId(id);
    job.record.job.set_owner(owner);
    job.record.job.set_state(state);
  }
  ClusterState state_;
};

TEST_F(JobQuota, CountsJobsOfTheOwnerThatHaveNotEnded) {
  Add("alice", v1::PENDING);
  Add("alice", v1::SUCCEEDED);
  Add("alice", v1::FAILED);
  Add("alice", v1::CANCELLED);
  Add("bob", v1::RUNNING);
  Add("bob", v1::RUNNING);
  EXPECT_TRUE(CheckJobQuota(state_, "alice", 2).ok());
  Add("alice", v1::RUNNING);
  const absl::Status status = CheckJobQuota(state_, "alice", 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), kReasonTooManyOpenJobs);
  EXPECT_EQ(rpc::GetErrorInfo(status)->metadata.at("limit"), "2");
}

TEST_F(JobQuota, ZeroIsNoLimitAndNobodyHasNone) {
  Add("", v1::RUNNING);
  Add("alice", v1::RUNNING);
  EXPECT_TRUE(CheckJobQuota(state_, "alice", 0).ok());
  EXPECT_TRUE(CheckJobQuota(state_, "", 1).ok());
}

}  // namespace
}  // namespace caldera::coordinator
