// What a task runs with, on rank 0 and on the others.
#ifndef CALDERA_WORKER_TASK_CONTEXT_H_
#define CALDERA_WORKER_TASK_CONTEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/base/log.h"
#include "common/model/model_config.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "worker/dispatch_client.h"
#include "worker/job_inputs.h"
#include "worker/lease_keeper.h"
#include "worker/object_io.h"

namespace caldera::worker {

// What only rank 0 has; all outlive the task.
struct Leader {
  JobInputs& inputs;
  ObjectIo& objects;
  DispatchClient& client;
  LeaseKeeper& keeper;
};

struct TaskContext {
  const v1::Lease& lease;  // the same on every rank
  dist::Communicator& ranks;
  Leader* leader = nullptr;  // null on ranks other than 0
  base::Logger log;
  std::vector<double> rank_flops;       // filled in by compress and probe tasks, by rank
  std::vector<v1::MatrixProbe> probes;  // filled in by probe tasks, on rank 0
};

// Collective: rank 0's reason to stop, on every rank; OK to go on. That all ranks have come here is
// progress.
absl::Status StopReason(TaskContext& context);
// The same for numerics: between steps by a collective, within a step by rank 0's signal to the
// others (Communicator::Signal). Made on the thread that owns the communicator; it alone looks for
// the signal, other threads learn from it.
dist::Interrupt InterruptOf(TaskContext& context);

// Collective: the model's configuration, read by rank 0.
absl::StatusOr<model::ModelConfig> ShareConfig(TaskContext& context);

// Collective: what every rank has executed, by rank; also added to context.rank_flops.
std::vector<double> CountFlops(TaskContext& context, double mine);

// A seed of its own for each use: the first 8 bytes (little-endian) of SHA-256 of "SEED/LABEL".
std::uint64_t SeedFor(std::uint64_t seed, const std::string& label);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_TASK_CONTEXT_H_
