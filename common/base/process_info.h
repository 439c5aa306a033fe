// What the operating system says of this process, for the process_* metrics. Linux /proc.
#ifndef CALDERA_COMMON_BASE_PROCESS_INFO_H_
#define CALDERA_COMMON_BASE_PROCESS_INFO_H_

#include <cstdint>

namespace caldera::base {

struct ProcessInfo {
  double cpu_seconds = 0;  // user + system, all threads, without children
  std::int64_t resident_bytes = 0;
  std::int64_t peak_resident_bytes = 0;
  std::int64_t virtual_bytes = 0;
  std::int64_t open_files = 0;
  double start_time_seconds = 0;  // Unix time
};

// Reads it now; fields that cannot be read are 0. Thread-safe.
ProcessInfo GetProcessInfo();

// What this process may take: physical memory, or the limit of its control group (cgroup v2 or v1,
// as containers see it) where that is less. Bytes.
std::int64_t MemoryLimitBytes();

// Gives pages of the heap that nothing uses back to the system, in the middle of it too: what a
// phase of many small allocations leaves behind adds to the peak of the next. Milliseconds.
void ReturnFreeMemory();

// User + system seconds of this process and of its finished children.
double CpuSecondsWithChildren();

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_PROCESS_INFO_H_
