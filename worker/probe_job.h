// The probe task: how much each matrix of some layers matters to the model's predictions, and how
// its error falls with bits. The coordinator allots bits by it (coordinator/allocation.h).
#ifndef CALDERA_WORKER_PROBE_JOB_H_
#define CALDERA_WORKER_PROBE_JOB_H_

#include <cstdint>

#include "absl/status/status.h"
#include "worker/task_context.h"

namespace caldera::worker {

// Calibration windows that a probe looks at, and the first tokens of each that it takes.
inline constexpr std::int64_t kProbeWindows = 4;
inline constexpr std::int64_t kProbeTokens = 64;

// Collective over the ranks of `context`. The first kProbeWindows windows go through all layers of
// the original model. Each matrix of the task's layers is decomposed with the job's settings, but 2
// bits and one outer iteration, and takes its place in a copy of the model
// (numerics/llama/sensitivity.h). Fills context.probes on rank 0, in layer, then projection order,
// and context.rank_flops. The same results for any number of ranks and threads.
absl::Status RunProbe(TaskContext& context);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_PROBE_JOB_H_
