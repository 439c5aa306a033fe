#include "bench/peak_memory.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

namespace caldera::bench {

MemoryBytes ResidentMemory() {
  MemoryBytes memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kilobytes = 0;
    words >> name >> kilobytes;
    if (name == "RssAnon:") memory.own = kilobytes * 1024;
    if (name == "RssShmem:") memory.shared = kilobytes * 1024;
  }
  memory.together = memory.own + memory.shared;
  return memory;
}

PeakMemory::PeakMemory() {
  Look();
  thread_ = std::thread([this] { Watch(); });
}

void PeakMemory::Look() {
  const MemoryBytes now = ResidentMemory();
  most_.own = std::max(most_.own, now.own);
  most_.shared = std::max(most_.shared, now.shared);
  most_.together = std::max(most_.together, now.together);
}

void PeakMemory::Watch() {
  constexpr std::chrono::milliseconds kPause(20);
  while (!stopped_) {
    Look();
    std::this_thread::sleep_for(kPause);
  }
}

MemoryBytes PeakMemory::Stop() {
  if (thread_.joinable()) {
    stopped_ = true;
    thread_.join();
    Look();
  }
  return most_;
}

}  // namespace caldera::bench
