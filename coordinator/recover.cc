#include "coordinator/recover.h"

#include <utility>

#include "common/base/status.h"
#include "common/store/checkpoint_reader.h"
#include "coordinator/job_edit.h"
#include "coordinator/job_graph.h"
#include "coordinator/receipts.h"

namespace caldera::coordinator {
namespace {

absl::StatusOr<bool> IsPublished(const JobState& job) {
  return store::HasManifest(job.record.job.spec().output_uri());
}

// The whole job as one transition.
Transition TransitionOf(const JobState& job, absl::Time now) {
  JobState bare;
  bare.record = job.record;
  bare.tasks = job.tasks;
  JobEdit edit(&bare, now);
  for (const TaskRecord& task : job.tasks) edit.PutTask(task);
  for (const auto& [key, matrix] : job.matrices) edit.AddMatrix(key, matrix);
  for (const auto& [key, hessian] : job.hessians) edit.AddHessian(hessian);
  edit.SetState(v1::CANCELLED);
  edit.Emit({.type = "job.recovered", .message = "from its receipts; resume continues it"});
  return edit.Take();
}

}  // namespace

absl::StatusOr<Recovery> RecoverJobs(const store::CheckpointStore& store, const base::Clock& clock,
                                     StateStore& states) {
  CALDERA_ASSIGN_OR_RETURN(const ClusterState known, states.Load());
  if (!known.jobs.empty()) {
    return base::FailedPrecondition(
        "the state database holds {} jobs: receipts are recovered into an empty one only",
        known.jobs.size());
  }
  CALDERA_ASSIGN_OR_RETURN(const ReceivedJobs received, ReadReceipts(store));
  Recovery recovery;
  for (const JobState& job : received.jobs) {
    const std::string name = JobName(job.record.id);
    CALDERA_ASSIGN_OR_RETURN(const bool published, IsPublished(job));
    if (published) {
      recovery.jobs.push_back(
          {name, false, "is published at " + job.record.job.spec().output_uri()});
      continue;
    }
    CALDERA_RETURN_IF_ERROR(states.Apply(TransitionOf(job, clock.Now())));
    recovery.jobs.push_back({name, true,
                             fmt::format("{} of {} matrices, {} Hessians", job.matrices.size(),
                                         job.record.job.model().layers() * model::kProjectionCount,
                                         job.hessians.size())});
  }
  for (const auto& [id, problem] : received.broken) {
    recovery.jobs.push_back({JobName(base::JobId(id)), false, problem});
  }
  return recovery;
}

}  // namespace caldera::coordinator
