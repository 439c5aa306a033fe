// Waiting for what can only be asked for (an MPI request), without burning a core meanwhile.
#ifndef CALDERA_NUMERICS_DIST_POLL_H_
#define CALDERA_NUMERICS_DIST_POLL_H_

#include <algorithm>
#include <chrono>

namespace caldera::dist {

// Asks `ready()` until it says true and calls `sleep(pause)` after each no: 1 ms at first, then
// twice as long each time, up to 20 ms.
template <typename Ready, typename Sleep>
void PollAsleep(Ready ready, Sleep sleep) {
  constexpr std::chrono::milliseconds kLongest(20);
  for (std::chrono::milliseconds pause(1); !ready(); pause = std::min(2 * pause, kLongest)) {
    sleep(pause);
  }
}

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_POLL_H_
