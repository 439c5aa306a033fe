#include "common/base/retry.h"

#include <algorithm>

#include "common/base/status.h"

namespace caldera::base {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, every seed is a good one.
std::uint64_t NextRandom(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15ULL;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
  return mixed ^ (mixed >> 31);
}

double NextUniform(std::uint64_t& state) {
  return static_cast<double>(NextRandom(state) >> 11) * 0x1.0p-53;
}

}  // namespace

bool IsTransient(const absl::Status& status) { return absl::IsUnavailable(status); }

bool IsRetryableWork(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsResourceExhausted(status);
}

absl::Duration Backoff::Next() {
  base_ = base_ == absl::ZeroDuration() ? options_.initial_backoff : base_ * options_.multiplier;
  base_ = std::min(base_, options_.maximum_backoff);
  return base_ * (1.0 + options_.jitter * (2.0 * NextUniform(random_) - 1.0));
}

absl::Status Retry(const RetryOptions& options, Clock& clock, Wakeup& stop,
                   const std::function<absl::Status()>& attempt) {
  const absl::Time limit = clock.Now() + options.time_limit;
  Backoff backoff(options);
  for (int attempts = 1;; ++attempts) {
    absl::Status status = attempt();
    if (status.ok() || !options.retryable(status)) return status;
    if (options.maximum_attempts > 0 && attempts >= options.maximum_attempts) return status;
    const absl::Time next = clock.Now() + backoff.Next();
    if (next > limit) return status;
    if (clock.WaitUntil(next, stop) == WaitResult::kWoken) {
      return Cancelled("stopped while waiting to retry: {}", MessageOf(status));
    }
  }
}

absl::Status Retry(const RetryOptions& options, Clock& clock,
                   const std::function<absl::Status()>& attempt) {
  Wakeup never;
  return Retry(options, clock, never, attempt);
}

}  // namespace caldera::base
