#include "coordinator/job_quota.h"

#include <algorithm>

#include "common/base/status.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {

absl::Status CheckJobQuota(const ClusterState& state, const std::string& owner, int limit) {
  if (limit == 0 || owner.empty()) return absl::OkStatus();
  const auto open = std::count_if(state.jobs.begin(), state.jobs.end(), [&](const auto& entry) {
    const v1::CompressionJob& job = entry.second.record.job;
    return job.owner() == owner && !HasEnded(job.state());
  });
  if (open < limit) return absl::OkStatus();
  return WithReason(base::ResourceExhausted("{} has {} jobs that have not ended, {} are allowed",
                                            owner, open, limit),
                    kReasonTooManyOpenJobs, {{"limit", std::to_string(limit)}});
}

}  // namespace caldera::coordinator
