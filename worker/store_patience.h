// Patience with a store that is away or full: the work waits for it under its lease, because what a
// decomposition gave is worth more than the time, and its failure would say nothing about the unit.
#ifndef CALDERA_WORKER_STORE_PATIENCE_H_
#define CALDERA_WORKER_STORE_PATIENCE_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "worker/object_io.h"

namespace caldera::worker {

struct StorePatience {
  absl::Duration limit;                                 // from the first failure on
  std::function<absl::Status()> stop_reason;            // asked several times a second; not OK: end
  std::function<void(const absl::Status&)> on_waiting;  // before each further try
};

// Calls `attempt` until it is OK, fails with anything but UNAVAILABLE or RESOURCE_EXHAUSTED, the
// limit has passed (its last error, saying so), or there is a reason to stop (which is returned).
// Pauses grow from .1 s to 10 s.
absl::Status WhileStoreIsAway(const StorePatience& patience,
                              const std::function<absl::Status()>& attempt);

// Read and Write of `inner` with patience. Sinks of Create have none: what goes into them cannot be
// repeated here.
std::unique_ptr<ObjectIo> MakePatientObjectIo(std::unique_ptr<ObjectIo> inner,
                                              StorePatience patience);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_STORE_PATIENCE_H_
