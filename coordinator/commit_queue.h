// Group commit: a StateStore that takes transitions at once and writes them behind, many to a
// transaction. A disk that syncs 250 times a second then carries thousands of transitions, and
// nobody holds the coordinator's lock while it does.
//
// Who answers for a transition waits for it (Await): nothing is said to anybody before it is
// durable. When a batch cannot be written, it and everything queued behind it is lost; the queue
// then refuses with that error until the state is loaded again (`on_loss`).
#ifndef CALDERA_COORDINATOR_COMMIT_QUEUE_H_
#define CALDERA_COORDINATOR_COMMIT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

// Every method from any thread.
class CommitQueue : public StateStore {
 public:
  // Counts transitions: the n-th one taken has position n.
  using Position = std::uint64_t;
  using Done = std::function<void(const absl::Status&)>;

  // `store` outlives the queue.
  explicit CommitQueue(StateStore* store);
  // Writes what is queued.
  ~CommitQueue() override;

  // --- StateStore.
  // What is durable: waits for what is queued, and ends a loss.
  absl::StatusOr<ClusterState> Load() override;
  // OK means taken, not durable. After a loss: its error.
  absl::Status ApplyAll(std::span<const Transition> transitions) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override {
    return store_->ReadEvents(job, after, limit);
  }

  // Of the transition taken last.
  Position position() const;
  // Calls `done` once all that has been taken by now is durable or lost: with OK, or with an error
  // of the kind that callers try again when something taken after `since` may have been lost, or
  // the state has not been loaded again since a loss. At once, on this thread, when nothing is
  // waiting to be written; else on the writing thread, where it must not block.
  void Await(Position since, Done done);

  // Blocks until nothing is waiting to be written and everybody who waited has been told.
  void Drain();

  // Called once for each loss, on the writing thread; must not block. Set it before the first
  // Apply.
  void SetOnLoss(std::function<void(const absl::Status&)> on_loss);

 private:
  struct Waiter {
    Position since;
    Position last;
    Done done;
  };
  void Work();
  void WriteBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellWaiters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lose(const absl::Status& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ResultSince(Position since) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  StateStore* const store_;
  mutable base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::vector<Transition> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);  // by `last`
  Position taken_ ABSL_GUARDED_BY(mutex_) = 0;
  Position settled_ ABSL_GUARDED_BY(mutex_) = 0;     // durable or lost
  Position lost_until_ ABSL_GUARDED_BY(mutex_) = 0;  // of the newest loss
  absl::Status loss_ ABSL_GUARDED_BY(mutex_);        // the newest
  bool refusing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool telling_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void(const absl::Status&)> on_loss_ ABSL_GUARDED_BY(mutex_);
  std::thread writer_;  // last: it uses all of the above
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COMMIT_QUEUE_H_
