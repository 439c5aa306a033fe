// Whether a job that has ended may go on: is everything still what it began with? Pure but for
// questions to the store.
#ifndef CALDERA_COORDINATOR_RESUME_H_
#define CALDERA_COORDINATOR_RESUME_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/planner.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// OK for FAILED and CANCELLED jobs, FAILED_PRECONDITION (reason JOB_NOT_RESUMABLE) for succeeded
// ones.
absl::Status CheckResumable(const JobRecord& job);

// `plan` is made anew from the job's spec. FAILED_PRECONDITION with reason JOB_DRIFTED and metadata
// "field" when model, text, spec or budget differ, or the version of the code unless that is
// accepted.
enum class OtherVersion { kRefuse, kAccept };
absl::Status CheckDrift(const JobRecord& job, const JobPlan& plan, const std::string& code_version,
                        OtherVersion other);

// Committed work whose objects are missing from the store or damaged: it has to be done again.
struct LostWork {
  std::vector<MatrixKey> matrices;
  std::vector<HessianKey> hessians;
  std::vector<std::string> tasks;    // done ones that are to be done again
  std::vector<std::string> objects;  // damaged ones, which must go before their bytes come again
  std::vector<std::string> reports;  // one line for each loss
};

// Re-hashes every object that the rest of the job reads, so it takes as long as reading them.
// DATA_LOSS when the store has none of them: then it is another store. Errors of the store.
absl::StatusOr<LostWork> FindLostWork(const JobState& job, const store::CheckpointStore& store);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_RESUME_H_
