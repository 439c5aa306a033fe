// The worker's side of DispatchService: short unary calls with deadlines and retries.
//
// Only UNAVAILABLE, DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED (the coordinator's disk is full) are
// retried, for as long as `patience` allows, so that a coordinator may restart under a running
// decomposition. FAILED_PRECONDITION (a stale lease) and all else come back at once. Thread rule:
// all methods are safe from several threads.
#ifndef CALDERA_WORKER_DISPATCH_CLIENT_H_
#define CALDERA_WORKER_DISPATCH_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/mutex.h"
#include "worker/clock_skew.h"

namespace caldera::worker {

// Who this worker is. `worker_id` outlives restarts, `incarnation` is new at each start.
struct WorkerIdentity {
  std::string worker_id;
  std::string incarnation;
  std::string version;
  std::string host;
  int ranks = 1;
  int threads_per_rank = 1;
  std::int64_t memory_bytes = 0;
};

// What the client tells as it goes; each may be empty, and is called on any thread.
struct DispatchObserver {
  // The first failure of a call that is going to be tried again.
  std::function<void(const absl::Status&)> on_retry = nullptr;
  // Each answer that carries the coordinator's clock.
  std::function<void(const ClockReading&)> on_clock = nullptr;
};

class DispatchClient {
 public:
  // `stub` is used from several threads; `patience` bounds the retries of one call.
  DispatchClient(std::shared_ptr<v1::DispatchService::StubInterface> stub, WorkerIdentity identity,
                 absl::Duration patience, DispatchObserver observer = {});

  const WorkerIdentity& identity() const { return identity_; }

  absl::StatusOr<v1::RegisterResponse> Register();
  // Waits up to `wait` on the server for a lease; an answer without one is not an error. Nothing is
  // given that would not be done by `available_until`, by this host's clock.
  absl::StatusOr<v1::AcquireLeaseResponse> AcquireLease(
      absl::Duration wait, absl::Time available_until = absl::InfiniteFuture());
  // One try only: the next heartbeat is the retry. Fills in worker id and incarnation.
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(v1::HeartbeatRequest request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Between the two, heartbeats return CANCELLED at once, the one under way too.
  void StopHeartbeats() ABSL_LOCKS_EXCLUDED(mutex_);
  void AllowHeartbeats() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<v1::CommitMatrixResponse> CommitMatrix(const v1::CommitMatrixRequest& request);
  absl::Status CommitHessians(const v1::CommitHessiansRequest& request);
  absl::Status CompleteLease(const v1::CompleteLeaseRequest& request);
  absl::Status FailLease(const v1::FailLeaseRequest& request);
  // The last call of a worker that goes; one try of a few seconds.
  absl::Status Unregister();

  // Ends waiting: retries in their back-off and a long poll return CANCELLED soon. Other calls go
  // on.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  template <typename Call>
  absl::Status Retry(Call call);
  void ReadClock(absl::Time sent, const google::protobuf::Timestamp& coordinator);

  std::shared_ptr<v1::DispatchService::StubInterface> stub_;
  WorkerIdentity identity_;
  absl::Duration patience_;
  const DispatchObserver observer_;
  std::atomic<std::int64_t> coordinator_ahead_milliseconds_{0};  // by the last answer that told
  std::atomic<bool> stopped_{false};
  base::Mutex mutex_;
  grpc::ClientContext* polling_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the long poll under way
  grpc::ClientContext* beating_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the heartbeat under way
  bool heartbeats_stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_DISPATCH_CLIENT_H_
