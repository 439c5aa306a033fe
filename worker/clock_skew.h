// How far this host's clock is from the coordinator's.
//
// Nothing depends on it: deadlines of leases are kept by the coordinator alone, in its own time.
// People comparing logs, and certificates, do; so a worker says when the two differ.
// Thread-safe.
#ifndef CALDERA_WORKER_CLOCK_SKEW_H_
#define CALDERA_WORKER_CLOCK_SKEW_H_

#include <optional>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace caldera::worker {

// One call, by two clocks.
struct ClockReading {
  absl::Time sent;         // ours
  absl::Time received;     // ours
  absl::Time coordinator;  // theirs, somewhere between the two
};

class ClockSkew {
 public:
  explicit ClockSkew(absl::Duration tolerance) : tolerance_(tolerance) {}

  // The coordinator's time less ours, when that is news: beyond the tolerance whatever the answer
  // took, and more than a tolerance away from what was told last; or back within it (zero).
  std::optional<absl::Duration> Observe(const ClockReading& reading) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const absl::Duration tolerance_;
  base::Mutex mutex_;
  absl::Duration told_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_CLOCK_SKEW_H_
