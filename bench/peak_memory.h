// The most memory that this process held over a stretch of time. Linux /proc.
#ifndef CALDERA_BENCH_PEAK_MEMORY_H_
#define CALDERA_BENCH_PEAK_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace caldera::bench {

// Resident pages.
struct MemoryBytes {
  std::int64_t own = 0;       // that no other process has
  std::int64_t shared = 0;    // of memory shared with other processes
  std::int64_t together = 0;  // both
};

// Resident memory now; 0 where /proc does not say.
MemoryBytes ResidentMemory();

// Looks at the resident memory at construction, every 20 ms from a thread of its own, and in Stop.
class PeakMemory {
 public:
  PeakMemory();
  ~PeakMemory() { Stop(); }
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;

  // The most seen of each, not necessarily at the same time.
  MemoryBytes Stop();

 private:
  void Look();
  void Watch();

  std::atomic<bool> stopped_{false};
  MemoryBytes most_;  // only the thread touches it while that runs
  std::thread thread_;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_PEAK_MEMORY_H_
