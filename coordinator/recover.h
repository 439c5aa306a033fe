// Rebuilds a lost state database from the receipts beside the objects.
#ifndef CALDERA_COORDINATOR_RECOVER_H_
#define CALDERA_COORDINATOR_RECOVER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

// What became of the jobs that the receipts tell of: lines for people, without the job's name.
struct Recovery {
  struct Line {
    std::string job;
    bool recovered = false;
    std::string text;  // "12 of 210 matrices", "published at ...", why it could not be recovered
  };
  std::vector<Line> jobs;  // in order of their ids
};

// `states` must hold no job: FAILED_PRECONDITION otherwise. Every job that has not published its
// checkpoint is put into it as CANCELLED, with what is committed, so that `resume` continues it
// (and checks that nothing has drifted). Events, failures and workers are gone.
absl::StatusOr<Recovery> RecoverJobs(const store::CheckpointStore& store, const base::Clock& clock,
                                     StateStore& states);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_RECOVER_H_
