// Runs callbacks at their time, on one thread of its own. Callbacks must not block.
#ifndef CALDERA_BENCH_PACER_H_
#define CALDERA_BENCH_PACER_H_

#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace caldera::bench {

// Every method from any thread. What is not due when it goes is dropped.
class Pacer {
 public:
  Pacer() : thread_([this] { Work(); }) {}
  ~Pacer() {
    {
      base::MutexLock lock(mutex_);
      stopping_ = true;
    }
    changed_.NotifyAll();
    thread_.join();
  }

  void At(absl::Time time, std::function<void()> callback) {
    {
      base::MutexLock lock(mutex_);
      queue_.emplace(time, std::move(callback));
    }
    changed_.NotifyAll();
  }

 private:
  void Work() {
    mutex_.Lock();
    while (!stopping_) {
      const absl::Time now = absl::Now();
      if (queue_.empty()) {
        changed_.Wait(mutex_);
      } else if (queue_.begin()->first > now) {
        changed_.WaitFor(mutex_, queue_.begin()->first - now);
      } else {
        const std::function<void()> callback = std::move(queue_.begin()->second);
        queue_.erase(queue_.begin());
        mutex_.Unlock();
        callback();
        mutex_.Lock();
      }
    }
    mutex_.Unlock();
  }

  base::Mutex mutex_;
  base::ConditionVariable changed_;
  std::multimap<absl::Time, std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_PACER_H_
