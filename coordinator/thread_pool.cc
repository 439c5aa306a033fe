#include "coordinator/thread_pool.h"

#include <utility>

namespace caldera::coordinator {

ThreadPool::ThreadPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  queued_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Post(std::function<void()> task) {
  {
    base::MutexLock lock(mutex_);
    queue_.push_back(std::move(task));
  }
  queued_.NotifyOne();
}

void ThreadPool::Drain() {
  base::MutexLock lock(mutex_);
  while (!queue_.empty() || running_ > 0) idle_.Wait(mutex_);
}

void ThreadPool::Work() {
  mutex_.Lock();
  while (true) {
    while (queue_.empty() && !stopping_) queued_.Wait(mutex_);
    if (queue_.empty()) break;
    const std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    mutex_.Unlock();
    task();
    mutex_.Lock();
    --running_;
    if (queue_.empty() && running_ == 0) idle_.NotifyAll();
  }
  mutex_.Unlock();
}

}  // namespace caldera::coordinator
