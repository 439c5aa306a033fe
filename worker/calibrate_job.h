// The calibrate task: one range of windows through all layers, four partial Hessians per layer.
#ifndef CALDERA_WORKER_CALIBRATE_JOB_H_
#define CALDERA_WORKER_CALIBRATE_JOB_H_

#include "absl/status/status.h"
#include "worker/task_context.h"

namespace caldera::worker {

// Collective over the ranks of `context`. Each layer's partial Hessians are committed as soon as
// the layer is done. Errors: of reading model and text, CANCELLED and FAILED_PRECONDITION of the
// lease keeper.
absl::Status RunCalibrate(TaskContext& context);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_CALIBRATE_JOB_H_
