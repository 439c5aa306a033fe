// The compress task: the matrices of one layer that no earlier attempt has committed.
#ifndef CALDERA_WORKER_COMPRESS_JOB_H_
#define CALDERA_WORKER_COMPRESS_JOB_H_

#include "absl/status/status.h"
#include "worker/task_context.h"

namespace caldera::worker {

// Collective over the ranks of `context`. Per Hessian: sum the partials, prepare once, then
// decompose each matrix that shares it and commit it at once. A drain request ends the task between
// two matrices (CANCELLED); what is committed stays. Fills context.rank_flops.
absl::Status RunCompress(TaskContext& context);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_COMPRESS_JOB_H_
