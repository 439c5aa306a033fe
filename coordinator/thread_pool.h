// A few threads for work that may block, so that gRPC's own threads never do.
#ifndef CALDERA_COORDINATOR_THREAD_POOL_H_
#define CALDERA_COORDINATOR_THREAD_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace caldera::coordinator {

// Post from any thread, also from inside a task. The destructor runs what was posted, then joins.
class ThreadPool {
 public:
  // `threads` >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void Post(std::function<void()> task);
  // Blocks until nothing is queued or running. For tests and orderly shutdown.
  void Drain();

 private:
  void Work();

  base::Mutex mutex_;
  base::ConditionVariable queued_;
  base::ConditionVariable idle_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_THREAD_POOL_H_
