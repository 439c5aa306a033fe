// What users ask of the core: jobs created from plans, looked up, listed, cancelled, deleted.
// Same thread rule as ClusterCore.
#ifndef CALDERA_COORDINATOR_JOB_DESK_H_
#define CALDERA_COORDINATOR_JOB_DESK_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "coordinator/cluster_core.h"
#include "coordinator/planner.h"
#include "coordinator/resume.h"

namespace caldera::coordinator {

// Who asked for a job, and how to recognise the same request again.
struct JobRequest {
  std::string job_id;       // "" = choose one
  std::string request_id;   // "" = none
  std::string fingerprint;  // of the request
  std::string code_version;
  int priority = 0;
};

class JobDesk {
 public:
  explicit JobDesk(ClusterCore* core) : core_(core) {}

  // The job an earlier request of this id made; ALREADY_EXISTS when that was another request, or
  // when job_id is taken; nullopt when the job is to be made.
  absl::StatusOr<std::optional<v1::CompressionJob>> FindRepeated(const JobRequest& request) const;
  // Makes the job (after FindRepeated's checks, again).
  absl::StatusOr<v1::CompressionJob> Insert(const JobRequest& request, const JobPlan& plan);
  // The job as Insert would make it, for validate_only.
  v1::CompressionJob Preview(const JobRequest& request, const JobPlan& plan) const;

  absl::StatusOr<v1::CompressionJob> Get(const base::JobId& job) const;
  // Newest first.
  absl::StatusOr<v1::ListCompressionJobsResponse> List(
      const v1::ListCompressionJobsRequest& request) const;
  absl::StatusOr<v1::ListLayersResponse> ListLayers(const v1::ListLayersRequest& request) const;
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers(const v1::ListWorkersRequest& request) const;

  // A job that has ended, or whose manifest is being written, is returned as it is.
  absl::StatusOr<v1::CompressionJob> Cancel(const base::JobId& job,
                                            const std::set<std::string>& past_cancelling);
  // After the checks of resume.h: a job that has ended meanwhile as it can be resumed goes on
  // without the work that was lost, any other is returned as it is.
  absl::StatusOr<v1::CompressionJob> Resume(const base::JobId& job, const std::string& code_version,
                                            const LostWork& lost);
  // FAILED_PRECONDITION with reason JOB_RUNNING unless it has ended.
  absl::Status Delete(const base::JobId& job);

 private:
  JobState MakeJob(const JobRequest& request, const JobPlan& plan) const;
  ClusterCore* const core_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_JOB_DESK_H_
