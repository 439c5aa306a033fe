// A state store that keeps its writers waiting, and fails, when a test says so.
#ifndef CALDERA_TESTS_COORDINATOR_GATED_STORE_H_
#define CALDERA_TESTS_COORDINATOR_GATED_STORE_H_

#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

// Everything else is the store behind it. Every method from any thread.
class GatedStore : public StateStore {
 public:
  explicit GatedStore(StateStore* store) : store_(store) {}

  void Close() { SetOpen(false); }
  void Open() { SetOpen(true); }
  // Every write fails with it from now on; OK ends that.
  void SetError(absl::Status error) {
    base::MutexLock lock(mutex_);
    error_ = std::move(error);
  }
  // Blocks until a writer waits at the closed gate.
  void AwaitWriter() {
    base::MutexLock lock(mutex_);
    while (!waiting_) changed_.Wait(mutex_);
  }
  // How many transitions each write held.
  std::vector<std::size_t> batches() {
    base::MutexLock lock(mutex_);
    return batches_;
  }

  absl::StatusOr<ClusterState> Load() override { return store_->Load(); }
  absl::Status ApplyAll(std::span<const Transition> transitions) override {
    base::MutexLock lock(mutex_);
    waiting_ = true;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
    waiting_ = false;
    batches_.push_back(transitions.size());
    return error_.ok() ? store_->ApplyAll(transitions) : error_;
  }
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override {
    return store_->ReadEvents(job, after, limit);
  }

 private:
  void SetOpen(bool open) {
    base::MutexLock lock(mutex_);
    open_ = open;
    changed_.NotifyAll();
  }

  StateStore* const store_;
  base::Mutex mutex_;
  base::ConditionVariable changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::size_t> batches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_GATED_STORE_H_
