// The critical section of Coordinator; shared by its source files only.
#ifndef CALDERA_COORDINATOR_COORDINATOR_SECTION_H_
#define CALDERA_COORDINATOR_COORDINATOR_SECTION_H_

#include <functional>

#include "coordinator/coordinator.h"

namespace caldera::coordinator {

// Locks for a scope. On the way out: what the change made possible is collected under the lock
// (leases for waiting workers, events for watchers, jobs to publish) and called after it is
// released.
class ABSL_SCOPED_LOCKABLE Coordinator::Section {
 public:
  explicit Section(Coordinator* coordinator) ABSL_EXCLUSIVE_LOCK_FUNCTION(coordinator->mutex_)
      : coordinator_(coordinator) {
    coordinator_->mutex_.Lock();
  }
  ~Section() ABSL_UNLOCK_FUNCTION() {
    const Calls calls = coordinator_->CollectCalls();
    coordinator_->mutex_.Unlock();
    for (const std::function<void()>& call : calls) call();
  }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  Coordinator* const coordinator_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COORDINATOR_SECTION_H_
