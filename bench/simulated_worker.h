// Workers that say over gRPC what real ones say, with stand-in objects instead of results: the load
// of bench-coordinator-load.
#ifndef CALDERA_BENCH_SIMULATED_WORKER_H_
#define CALDERA_BENCH_SIMULATED_WORKER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "bench/latencies.h"
#include "bench/pacer.h"
#include "caldera/v1/dispatch.grpc.pb.h"

namespace caldera::bench {

// Objects that lie in the store, named in place of results.
struct StandIns {
  std::map<std::pair<int, int>, v1::MatrixResult> matrices;  // by layer and projection
  v1::ObjectRef hessian;
  v1::ObjectRef embeddings;
};

// What the workers of one run share. Borrowed by them.
struct Fleet {
  const StandIns* stand_ins = nullptr;
  int layers = 0;
  absl::Duration pause;  // between the calls of a lease
  Latencies latencies;
  Pacer pacer;
  std::atomic<int> active = 0;  // workers that have not ended
  std::atomic<bool> stopping = false;
  std::atomic<std::int64_t> matrices = 0;  // committed
  std::atomic<std::int64_t> layers_done = 0;
  // Of the first commit and the last completion, nanoseconds since the epoch.
  std::atomic<std::int64_t> first = 0;
  std::atomic<std::int64_t> last = 0;

  // The first error ends the run.
  void Fail(const std::string& what);
  std::string error();

 private:
  base::Mutex mutex_;
  std::string error_ ABSL_GUARDED_BY(mutex_);
};

// One worker on a channel of its own: registers, then takes and does leases until the fleet stops,
// with heartbeats every 15 s. Its callbacks run on gRPC's threads; it outlives `fleet->active`.
class SimulatedWorker {
 public:
  SimulatedWorker(Fleet* fleet, const std::string& address, int number);
  void Start();

 private:
  template <typename Request, typename Response, typename Then>
  void Call(const std::string& name,
            void (v1::DispatchService::StubInterface::async_interface::*method)(
                grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>),
            Request request, Then then);
  template <typename Step>
  void Later(Step step);

  void Acquire();
  void Take(const v1::AcquireLeaseResponse& response);
  void CommitHessians();
  void CommitMatrix(int projection);
  void Complete();
  void Heartbeat();
  template <typename Request>
  Request Fenced() const;

  Fleet* const fleet_;
  const absl::Duration delay_;  // before the first lease
  const std::string id_;
  const std::unique_ptr<v1::DispatchService::Stub> stub_;
  v1::Lease lease_;
  absl::Time due_;  // of the next call
  absl::Time last_heartbeat_;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_SIMULATED_WORKER_H_
