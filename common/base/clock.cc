#include "common/base/clock.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "common/base/check.h"

namespace caldera::base {

void Wakeup::Notify() {
  MutexLock lock(mutex_);
  notified_ = true;
  changed_.NotifyAll();
}

void Wakeup::Poke() {
  // The lock orders this after the waiter's look at its clock, so the poke cannot fall in between.
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

absl::Time SystemClock::Now() const { return absl::Now(); }

WaitResult SystemClock::WaitUntil(absl::Time deadline, Wakeup& wakeup) {
  MutexLock lock(wakeup.mutex_);
  while (!wakeup.notified_) {
    const absl::Duration left = deadline - Now();
    if (left <= absl::ZeroDuration()) return WaitResult::kDeadline;
    wakeup.changed_.WaitFor(wakeup.mutex_, left);
  }
  wakeup.notified_ = false;
  return WaitResult::kWoken;
}

absl::Time ManualClock::Now() const {
  MutexLock lock(mutex_);
  return now_;
}

// Locks are taken in this order: the clock's, the wakeup's. Advance pokes with the clock's held, so
// that a wakeup stays until it is poked although its owner may drop it right after the wait.
WaitResult ManualClock::WaitUntil(absl::Time deadline, Wakeup& wakeup) {
  MutexLock lock(mutex_);
  waiting_.push_back(&wakeup);
  waiters_changed_.NotifyAll();
  wakeup.mutex_.Lock();
  while (!wakeup.notified_ && now_ < deadline) {
    mutex_.Unlock();
    wakeup.changed_.Wait(wakeup.mutex_);
    wakeup.mutex_.Unlock();
    mutex_.Lock();
    wakeup.mutex_.Lock();
  }
  const WaitResult result = wakeup.notified_ ? WaitResult::kWoken : WaitResult::kDeadline;
  wakeup.notified_ = false;
  wakeup.mutex_.Unlock();
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &wakeup));
  return result;
}

void ManualClock::Advance(absl::Duration step) {
  CALDERA_CHECK(step >= absl::ZeroDuration(), "time cannot go back");
  MutexLock lock(mutex_);
  now_ += step;
  for (Wakeup* wakeup : waiting_) wakeup->Poke();
}

int ManualClock::waiters() const {
  MutexLock lock(mutex_);
  return static_cast<int>(waiting_.size());
}

void ManualClock::AwaitWaiters(int count) const {
  MutexLock lock(mutex_);
  while (static_cast<int>(waiting_.size()) < count) waiters_changed_.Wait(mutex_);
}

}  // namespace caldera::base
