// Jobs whose publishing waits for a store that is away or full. Pure; time is an argument.
#ifndef CALDERA_COORDINATOR_PUBLISH_WAITS_H_
#define CALDERA_COORDINATOR_PUBLISH_WAITS_H_

#include <map>
#include <set>
#include <string>

#include "absl/time/time.h"

namespace caldera::coordinator {

// One thread at a time.
class PublishWaits {
 public:
  // `patience`: from the first failure of a job to the last try.
  explicit PublishWaits(absl::Duration patience) : patience_(patience) {}

  // Publishing failed at `now`: another try later, after a pause that grows from 1 s to 30 s; false
  // when the patience is over.
  bool Postpone(const std::string& job, absl::Time now);
  // Whether a try is due: also for a job that was never postponed.
  bool IsDue(const std::string& job, absl::Time now) const;
  // Postponed jobs for which a try is due, or under way.
  std::set<std::string> DueAt(absl::Time now) const;
  // The job was published, or has ended otherwise.
  void Forget(const std::string& job) { waits_.erase(job); }

 private:
  struct Wait {
    absl::Time first;  // failure
    absl::Time next;   // try
    absl::Duration pause;
  };
  const absl::Duration patience_;
  std::map<std::string, Wait> waits_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_PUBLISH_WAITS_H_
