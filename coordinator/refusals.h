// What becomes of refused calls: each kind is logged once in a while, and whoever goes on gets a
// cheaper answer.
#ifndef CALDERA_COORDINATOR_REFUSALS_H_
#define CALDERA_COORDINATOR_REFUSALS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"

namespace caldera::coordinator {

struct RefusalOptions {
  absl::Duration log_every = absl::Minutes(10);  // for one peer and one reason
  // A peer has so many refused calls at once and so many more each second; beyond that the answer
  // is RESOURCE_EXHAUSTED. Calls that are not refused are never counted: nobody can lock out others
  // behind the same address.
  double burst = 20;
  double per_second = 1;
  std::size_t most_peers = 1024;  // remembered one by one; more count as one together
};

// Thread-safe. Borrows the clock.
class Refusals {
 public:
  Refusals(const RefusalOptions& options, const base::Clock* clock, base::Logger log)
      : options_(options), clock_(clock), log_(std::move(log)) {}

  // What the caller is told: `status` with its reason (ErrorInfo), or RESOURCE_EXHAUSTED with
  // reason TOO_MANY_REFUSALS and a delay. `peer` is a host without a port. Logs peer, method,
  // reason and the message of `status`, which must not hold a secret.
  absl::Status Answer(const std::string& peer, const std::string& method, absl::Status status)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Peer {
    double left = 0;  // refusals, refilled with time
    absl::Time refilled = absl::InfinitePast();
    // By reason: when it was logged last, and how often it happened since.
    std::map<std::string, std::pair<absl::Time, std::int64_t>> logged;
  };
  Peer& Find(const std::string& peer, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes one refusal; false when none is left.
  bool Take(Peer& peer, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RefusalOptions options_;
  const base::Clock* const clock_;
  const base::Logger log_;
  base::Mutex mutex_;
  std::map<std::string, Peer> peers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_REFUSALS_H_
