// Keeps one lease alive while the main thread computes: one thread that heartbeats, and one that
// watches the time also while a heartbeat waits for a coordinator that hangs.
//
// It knows three reasons to stop: the coordinator says CANCEL or that the lease is stale, the
// worker is draining and its time is up, or the deadline passed unanswered (the work goes on then:
// a late completion is still accepted if nobody else has the lease). A task that is told to stop
// and does not (a rank that hangs in a collective takes the others with it) ends by `on_hang`.
// Thread rule: Advance, SetStatus and StopReason from any thread; construction and destruction from
// one.
#ifndef CALDERA_WORKER_LEASE_KEEPER_H_
#define CALDERA_WORKER_LEASE_KEEPER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/base/mutex.h"
#include "worker/dispatch_client.h"

namespace caldera::worker {

// Set by signal handlers in main(), read by everyone: has someone asked this worker to leave?
class DrainSignal {
 public:
  void Request() { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const { return requested_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> requested_{false};
};

class LeaseKeeper {
 public:
  struct Options {
    absl::Duration interval;       // between heartbeats
    absl::Duration drain_timeout;  // how long a matrix in flight may go on after a drain request
    absl::Duration hang_timeout = absl::InfiniteDuration();  // from a reason to stop to on_hang
    // Called once, on a thread of the keeper, with what is known. Usually ends the process.
    std::function<void(const std::string&)> on_hang = nullptr;
  };

  // Starts heartbeating for `lease` at once. `client` and `drain` must outlive the keeper; a client
  // has one keeper at a time.
  LeaseKeeper(DispatchClient& client, const DrainSignal& drain, const v1::Lease& lease,
              Options options);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // The work moved on; the coordinator's stall timeout watches this number.
  void Advance() { progress_.fetch_add(1, std::memory_order_relaxed); }
  void SetStatus(const std::string& status) ABSL_LOCKS_EXCLUDED(mutex_);

  // OK while the task should go on; CANCELLED (coordinator said so, or drained) or
  // FAILED_PRECONDITION (the lease is someone else's) afterwards.
  absl::Status StopReason() const ABSL_LOCKS_EXCLUDED(mutex_);
  // No new matrix should be started.
  bool draining() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void BeatOnAndOn();
  void Watch();
  void Beat();
  // False when the keeper is done before `pause` is over.
  bool Sleep(absl::Duration pause) ABSL_LOCKS_EXCLUDED(mutex_);
  void CheckDrain();
  void CheckHang();

  DispatchClient& client_;
  const DrainSignal& drain_;
  const std::string lease_id_;
  const int attempt_;
  const Options options_;
  std::atomic<std::int64_t> progress_{1};

  mutable base::Mutex mutex_;
  base::ConditionVariable done_changed_;
  std::string status_ ABSL_GUARDED_BY(mutex_);
  absl::Status stop_reason_ ABSL_GUARDED_BY(mutex_);
  absl::Time drain_started_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Time hung_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool told_to_drain_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool told_hang_ = false;  // of the watching thread
  std::thread beating_;
  std::thread watching_;
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_LEASE_KEEPER_H_
