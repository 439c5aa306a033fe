// The worker's side of DispatchService: short unary calls with deadlines and retries.
//
// Only UNAVAILABLE and DEADLINE_EXCEEDED are retried, for as long as `patience` allows, so that a
// coordinator may restart under a running decomposition. FAILED_PRECONDITION (a stale lease) and
// all else come back at once. Thread rule: all methods are safe from several threads.
#ifndef CALDERA_WORKER_DISPATCH_CLIENT_H_
#define CALDERA_WORKER_DISPATCH_CLIENT_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/mutex.h"

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

class DispatchClient {
 public:
  // `stub` is used from several threads; `patience` bounds the retries of one call.
  DispatchClient(std::shared_ptr<v1::DispatchService::StubInterface> stub, WorkerIdentity identity,
                 absl::Duration patience);

  const WorkerIdentity& identity() const { return identity_; }

  absl::StatusOr<v1::RegisterResponse> Register();
  // Waits up to `wait` on the server for a lease; an answer without one is not an error. Nothing is
  // given that would not be done by `available_until`.
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

  // Ends waiting: retries in their back-off and a long poll return CANCELLED soon. Other calls go
  // on.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  template <typename Call>
  absl::Status Retry(Call call);

  std::shared_ptr<v1::DispatchService::StubInterface> stub_;
  WorkerIdentity identity_;
  absl::Duration patience_;
  std::atomic<bool> stopped_{false};
  base::Mutex mutex_;
  grpc::ClientContext* polling_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the long poll under way
  grpc::ClientContext* beating_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the heartbeat under way
  bool heartbeats_stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_DISPATCH_CLIENT_H_
