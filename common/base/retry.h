// Retrying with exponential backoff: pure delays (Backoff) and the loop over a Clock (Retry).
#ifndef CALDERA_COMMON_BASE_RETRY_H_
#define CALDERA_COMMON_BASE_RETRY_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace caldera::base {

// UNAVAILABLE: the call may simply be sent again.
bool IsTransient(const absl::Status& status);
// UNAVAILABLE, ABORTED, RESOURCE_EXHAUSTED: the work may succeed later or elsewhere.
bool IsRetryableWork(const absl::Status& status);

struct RetryOptions {
  absl::Duration initial_backoff = absl::Seconds(1);
  double multiplier = 2.0;  // >= 1
  absl::Duration maximum_backoff = absl::Seconds(30);
  double jitter = 0.2;                                   // in [0, 1]: delays vary by this fraction
  absl::Duration time_limit = absl::InfiniteDuration();  // from the first attempt on
  int maximum_attempts = 0;                              // 0 = no limit
  std::uint64_t seed = 0;                                // of the jitter
  std::function<bool(const absl::Status&)> retryable = IsTransient;
};

// The delays: delay k is min(initial * multiplier^k, maximum) * u, u uniform in [1-jitter,
// 1+jitter) drawn from the seed. One thread at a time.
class Backoff {
 public:
  explicit Backoff(const RetryOptions& options) : options_(options), random_(options.seed) {}
  absl::Duration Next();
  // Starts again at the initial delay (after a success); the jitter sequence goes on.
  void Reset() { base_ = absl::ZeroDuration(); }

 private:
  RetryOptions options_;
  absl::Duration base_ = absl::ZeroDuration();
  std::uint64_t random_;
};

// Calls `attempt` until it is OK, fails with a status that is not retryable, the attempts are used
// up, or the next delay would end past the time limit; returns its last status. When `stop` is
// notified during a delay: CANCELLED, with the last message. `stop` outlives the call.
absl::Status Retry(const RetryOptions& options, Clock& clock, Wakeup& stop,
                   const std::function<absl::Status()>& attempt);
// The same for those whom nobody stops.
absl::Status Retry(const RetryOptions& options, Clock& clock,
                   const std::function<absl::Status()>& attempt);

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_RETRY_H_
