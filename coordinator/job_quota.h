// How many jobs one client may have open at a time.
#ifndef CALDERA_COORDINATOR_JOB_QUOTA_H_
#define CALDERA_COORDINATOR_JOB_QUOTA_H_

#include <string>

#include "absl/status/status.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// RESOURCE_EXHAUSTED with reason TOO_MANY_OPEN_JOBS when `owner` has `limit` jobs that have not
// ended; 0 = no limit. Owner "" (a job from before owners were kept, a call inside the process) has
// none.
absl::Status CheckJobQuota(const ClusterState& state, const std::string& owner, int limit);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_JOB_QUOTA_H_
