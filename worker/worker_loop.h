// The worker's life: register, pull leases, run them over all ranks, leave when told to.
//
// Rank 0 leads (RunLeader); the others follow (RunFollower) and sleep between tasks.
#ifndef CALDERA_WORKER_WORKER_LOOP_H_
#define CALDERA_WORKER_WORKER_LOOP_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "common/store/checkpoint_store.h"
#include "numerics/dist/communicator.h"
#include "worker/dispatch_client.h"
#include "worker/job_inputs.h"
#include "worker/lease_keeper.h"
#include "worker/remote_files.h"

namespace caldera::worker {

// What happened to one lease, for metrics: kind is "calibrate", "compress" or "embeddings".
struct TaskOutcome {
  std::string kind;
  absl::Status status;
  double seconds = 0;
  double flops = 0;  // summed over ranks
};

struct LeaderOptions {
  Reach reach = Reach::kDirect;  // kStreamed never touches files of this host
  absl::Duration drain_timeout = absl::Seconds(25);
  absl::Duration hang_timeout = absl::Seconds(120);   // LeaseKeeper::Options
  std::function<void(const std::string&)> on_hang;    // may be empty
  absl::Duration poll = absl::Seconds(20);            // long poll for a lease
  absl::Duration store_patience = absl::Seconds(60);  // store::StoreOptions
  absl::Duration ask = absl::Seconds(3);              // between heartbeats, or less where wanted
  // The loop drains so early that a task in flight has the drain timeout to end.
  absl::Time available_until = absl::InfiniteFuture();
  std::function<void(const TaskOutcome&)> observe;  // may be empty
};

// Everything rank 0 works with; all outlive the loop.
struct LeaderParts {
  DispatchClient& client;
  CheckpointAccess checkpoint;
  dist::Communicator& ranks;
  DrainSignal& drain;  // also requested here when the worker's time is over
  base::Logger log;
};

// Rank 0, on the thread that owns the communicator: until a drain request or the end of its time
// (OK), or an error that no retry mends (registration refused). Tells the followers to leave before
// it returns.
absl::Status RunLeader(const LeaderParts& parts, const LeaderOptions& options);

// Every other rank: until the leader says so.
void RunFollower(dist::Communicator& ranks, const base::Logger& log);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_WORKER_LOOP_H_
