// What the core tells whoever measures it, and the picture it gives when asked. Keeps metrics out
// of the state machine.
#ifndef CALDERA_COORDINATOR_OBSERVER_H_
#define CALDERA_COORDINATOR_OBSERVER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Calls come under the coordinator's lock or from its executor: they must be quick and thread-safe.
// The base class ignores everything.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void LeaseExpired() {}
  // `outcome`: "completed", "failed", "expired", "released".
  virtual void AttemptEnded(TaskKind kind, const std::string& outcome) {
    (void)kind;
    (void)outcome;
  }
  // A task has failed too often, or for good: its job fails.
  virtual void TaskExhausted(TaskKind kind) { (void)kind; }
  virtual void TaskCompleted(TaskKind kind, double seconds) {
    (void)kind;
    (void)seconds;
  }
  // From "could run" to "runs".
  virtual void QueueWaited(double seconds) { (void)seconds; }
  virtual void MatrixCommitted(const std::string& projection, double relative_error) {
    (void)projection;
    (void)relative_error;
  }
  virtual void StoreBytesWritten(std::uint64_t bytes) { (void)bytes; }
  virtual void StoreCommitTook(double seconds) { (void)seconds; }
  virtual void StoreVerifyFailed() {}
};

// Counts by state name and figures of jobs that have not been over for long.
struct ClusterSnapshot {
  struct Job {
    std::string id;
    double progress_ratio = 0;
    double eta_seconds = -1;
    absl::Time last_progress = absl::InfinitePast();
  };
  std::map<std::string, int> jobs;     // "pending", "running", "succeeded", "failed", "cancelled"
  std::map<std::string, int> layers;   // of running and pending jobs, same names
  std::map<std::string, int> workers;  // "idle", "busy", "draining", "lost"
  std::map<std::string, absl::Time> last_heartbeats;  // by worker id
  std::vector<Job> active;                            // with retention of ended ones
  int leases = 0;
  bool store_reachable = true;
  std::optional<std::uint64_t> store_free_bytes;  // nullopt where nobody knows
  std::optional<std::uint64_t> state_free_bytes;  // of the state directory's file system
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_OBSERVER_H_
