// The worker's Prometheus metrics (prefix caldera_, base units), served by rank 0.
//
// Thread rule: every method from any thread.
#ifndef CALDERA_WORKER_METRICS_H_
#define CALDERA_WORKER_METRICS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "numerics/dist/communicator.h"
#include "worker/worker_loop.h"

namespace caldera::worker {

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Serves /metrics at "HOST:PORT" until destruction. UNAVAILABLE naming the address when it cannot
  // be bound.
  absl::Status Serve(const std::string& address);
  // Counts a finished lease: task_attempts_total, task_duration_seconds, flops_total.
  void Observe(const TaskOutcome& outcome);
  // Sets clock_skew_seconds: the coordinator's time less ours.
  void SetClockSkew(double seconds);
  // Adds to mpi_collective_seconds_total{op}.
  void AddCollectiveSeconds(const std::string& operation, double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A communicator that times its collectives into `metrics`; both outlive it.
std::unique_ptr<dist::Communicator> MakeMeteredCommunicator(dist::Communicator& inner,
                                                            Metrics& metrics);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_METRICS_H_
