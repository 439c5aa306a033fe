#include "worker/clock_skew.h"

#include <algorithm>

namespace caldera::worker {
namespace {

// The smallest difference that explains the reading: nobody knows when between sending and
// receiving the other clock was read.
absl::Duration SmallestSkew(const ClockReading& reading) {
  if (reading.coordinator > reading.received) return reading.coordinator - reading.received;
  if (reading.coordinator < reading.sent) return reading.coordinator - reading.sent;
  return absl::ZeroDuration();
}

}  // namespace

std::optional<absl::Duration> ClockSkew::Observe(const ClockReading& reading) {
  const absl::Duration smallest = SmallestSkew(reading);
  const absl::Duration skew =
      absl::AbsDuration(smallest) > tolerance_ ? smallest : absl::ZeroDuration();
  const base::MutexLock lock(mutex_);
  const bool news = skew == absl::ZeroDuration() ? told_ != absl::ZeroDuration()
                                                 : absl::AbsDuration(skew - told_) > tolerance_;
  if (!news) return std::nullopt;
  told_ = skew;
  return skew;
}

}  // namespace caldera::worker
