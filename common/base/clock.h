// The time seam: wall time and interruptible waiting. Only main() chooses the SystemClock.
//
// Thread rule: every method of Clock and Wakeup may be called from several threads at once, but at
// most one thread at a time waits on one Wakeup.
#ifndef CALDERA_COMMON_BASE_CLOCK_H_
#define CALDERA_COMMON_BASE_CLOCK_H_

#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace caldera::base {

// What ends a wait early. A notification is kept until one wait has consumed it, so it is never
// lost between two waits; several notifications before a wait count as one.
class Wakeup {
 public:
  void Notify();

 private:
  friend class SystemClock;
  friend class ManualClock;
  // Lets the waiter look at its clock again without consuming anything.
  void Poke();

  Mutex mutex_;
  ConditionVariable changed_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

enum class WaitResult { kDeadline, kWoken };

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time. Never goes back for a ManualClock; may for the system.
  virtual absl::Time Now() const = 0;
  // Blocks until Now() >= deadline (kDeadline) or `wakeup` is notified (kWoken, consumed; wins when
  // both hold). A past deadline returns at once; absl::InfiniteFuture() waits for the wakeup alone.
  virtual WaitResult WaitUntil(absl::Time deadline, Wakeup& wakeup) = 0;

  WaitResult WaitFor(absl::Duration duration, Wakeup& wakeup) {
    return WaitUntil(Now() + duration, wakeup);
  }
};

// The machine's wall clock.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  WaitResult WaitUntil(absl::Time deadline, Wakeup& wakeup) override;
};

// Time that stands still until someone moves it: for tests and simulations.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(absl::Time start = absl::UnixEpoch()) : now_(start) {}
  absl::Time Now() const override;
  WaitResult WaitUntil(absl::Time deadline, Wakeup& wakeup) override;

  // Moves time forward and ends every wait whose deadline has come. `step` >= 0.
  void Advance(absl::Duration step);
  // Threads inside WaitUntil. AwaitWaiters blocks until there are at least `count`: with it a test
  // advances only when the code under test is really waiting.
  int waiters() const;
  void AwaitWaiters(int count) const;

 private:
  mutable Mutex mutex_;
  mutable ConditionVariable waiters_changed_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
  std::vector<Wakeup*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_CLOCK_H_
