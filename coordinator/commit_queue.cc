#include "coordinator/commit_queue.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace caldera::coordinator {
namespace {

// The callers of a lost batch may all try again, whatever broke it for one of them.
absl::Status Retryable(const absl::Status& error) {
  const std::string message = "the state could not be written: " + base::MessageOf(error);
  if (error.code() == absl::StatusCode::kResourceExhausted) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::UnavailableError(message);
}

}  // namespace

CommitQueue::CommitQueue(StateStore* store) : store_(store), writer_([this] { Work(); }) {}

CommitQueue::~CommitQueue() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  writer_.join();
}

absl::StatusOr<ClusterState> CommitQueue::Load() {
  base::MutexLock lock(mutex_);
  while (settled_ < taken_) changed_.Wait(mutex_);
  absl::StatusOr<ClusterState> state = store_->Load();
  if (state.ok()) refusing_ = false;
  return state;
}

absl::Status CommitQueue::ApplyAll(std::span<const Transition> transitions) {
  {
    base::MutexLock lock(mutex_);
    if (refusing_) return loss_;
    queue_.insert(queue_.end(), transitions.begin(), transitions.end());
    taken_ += transitions.size();
  }
  changed_.NotifyAll();
  return absl::OkStatus();
}

CommitQueue::Position CommitQueue::position() const {
  base::MutexLock lock(mutex_);
  return taken_;
}

absl::Status CommitQueue::ResultSince(Position since) const {
  return refusing_ || since < lost_until_ ? loss_ : absl::OkStatus();
}

void CommitQueue::Await(Position since, Done done) {
  absl::Status result;
  {
    base::MutexLock lock(mutex_);
    if (settled_ < taken_) {
      waiters_.push_back({since, taken_, std::move(done)});
      return;
    }
    result = ResultSince(since);
  }
  done(result);
}

void CommitQueue::SetOnLoss(std::function<void(const absl::Status&)> on_loss) {
  base::MutexLock lock(mutex_);
  on_loss_ = std::move(on_loss);
}

void CommitQueue::Lose(const absl::Status& error) {
  loss_ = Retryable(error);
  refusing_ = true;
  queue_.clear();
  settled_ = taken_;
  lost_until_ = taken_;
}

void CommitQueue::WriteBatch() {
  const std::vector<Transition> batch = std::exchange(queue_, {});
  mutex_.Unlock();
  const absl::Status written = store_->ApplyAll(batch);
  mutex_.Lock();
  if (written.ok()) {
    settled_ += batch.size();
  } else {
    Lose(written);
  }
}

void CommitQueue::TellWaiters() {
  const auto waiting =
      std::find_if(waiters_.begin(), waiters_.end(),
                   [settled = settled_](const Waiter& waiter) { return waiter.last > settled; });
  std::vector<std::pair<Done, absl::Status>> ready;
  for (auto it = waiters_.begin(); it != waiting; ++it) {
    ready.emplace_back(std::move(it->done), ResultSince(it->since));
  }
  waiters_.erase(waiters_.begin(), waiting);
  const std::function<void(const absl::Status&)> on_loss = refusing_ ? on_loss_ : nullptr;
  const absl::Status loss = loss_;
  telling_ = true;
  mutex_.Unlock();
  if (on_loss) on_loss(loss);
  for (const auto& [done, result] : ready) done(result);
  mutex_.Lock();
  telling_ = false;
  changed_.NotifyAll();
}

void CommitQueue::Work() {
  mutex_.Lock();
  while (true) {
    while (queue_.empty() && !stopping_) changed_.Wait(mutex_);
    if (queue_.empty()) break;
    WriteBatch();
    TellWaiters();
  }
  mutex_.Unlock();
}

void CommitQueue::Drain() {
  base::MutexLock lock(mutex_);
  while (settled_ < taken_ || telling_) changed_.Wait(mutex_);
}

}  // namespace caldera::coordinator
