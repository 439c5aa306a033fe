// Calibration windows on every rank of a worker.
#ifndef CALDERA_WORKER_SHARED_WINDOWS_H_
#define CALDERA_WORKER_SHARED_WINDOWS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "numerics/llama/model.h"
#include "worker/task_context.h"

namespace caldera::worker {

// Collective: the windows of range `range` of `ranges`, all of the same length; rank 0 reads them
// (JobInputs::RangeWindows, and its errors).
absl::StatusOr<std::vector<llama::Window>> ShareWindows(TaskContext& context, int range,
                                                        int ranges);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_SHARED_WINDOWS_H_
