// absl::Time <-> the milliseconds of the state database; infinities keep their meaning.
#ifndef CALDERA_COORDINATOR_SQLITE_TIMES_H_
#define CALDERA_COORDINATOR_SQLITE_TIMES_H_

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace caldera::coordinator {

// absl saturates: the infinite past and future become the extremes of int64.
inline std::int64_t ToMillis(absl::Time time) { return absl::ToUnixMillis(time); }

inline absl::Time FromMillis(std::int64_t millis) {
  if (millis == std::numeric_limits<std::int64_t>::min()) return absl::InfinitePast();
  if (millis == std::numeric_limits<std::int64_t>::max()) return absl::InfiniteFuture();
  return absl::FromUnixMillis(millis);
}

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_SQLITE_TIMES_H_
