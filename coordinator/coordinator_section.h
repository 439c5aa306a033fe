// The critical section of Coordinator; shared by its source files only.
#ifndef CALDERA_COORDINATOR_COORDINATOR_SECTION_H_
#define CALDERA_COORDINATOR_COORDINATOR_SECTION_H_

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "coordinator/coordinator.h"

namespace caldera::coordinator {

// Locks for a scope. On the way out: what the change made possible is collected under the lock
// (leases for waiting workers, events for watchers, jobs to publish) and called after it is
// released, once the change is durable.
class ABSL_SCOPED_LOCKABLE Coordinator::Section {
 public:
  explicit Section(Coordinator* coordinator) ABSL_EXCLUSIVE_LOCK_FUNCTION(coordinator->mutex_)
      : coordinator_(coordinator) {
    coordinator_->mutex_.Lock();
    since_ = coordinator_->Position();
  }
  ~Section() ABSL_UNLOCK_FUNCTION() {
    Calls calls = coordinator_->CollectCalls();
    coordinator_->mutex_.Unlock();
    coordinator_->RunWhenDurable(since_, std::move(calls));
  }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  Coordinator* const coordinator_;
  CommitQueue::Position since_ = 0;
};

// Between the look at an object in the store and the commit that refers to it, nobody may remove
// it: a job that is deleted may have had the same bytes.
class Coordinator::Pins {
 public:
  Pins(Coordinator* coordinator, std::vector<std::string> objects)
      : coordinator_(coordinator), objects_(std::move(objects)) {
    base::MutexLock lock(coordinator_->mutex_);
    coordinator_->pinned_.insert(objects_.begin(), objects_.end());
    for (const std::string& object : objects_) {
      if (coordinator_->removing_.count(object) == 0) continue;
      status_ = base::Aborted("object {} is being removed: try again", object);
    }
  }
  ~Pins() {
    base::MutexLock lock(coordinator_->mutex_);
    for (const std::string& object : objects_) {
      coordinator_->pinned_.erase(coordinator_->pinned_.find(object));
    }
  }
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;

  // ABORTED when one of them is on its way out.
  const absl::Status& status() const { return status_; }

 private:
  Coordinator* const coordinator_;
  const std::vector<std::string> objects_;
  absl::Status status_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COORDINATOR_SECTION_H_
