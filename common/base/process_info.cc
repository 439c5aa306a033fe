#include "common/base/process_info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace caldera::base {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double CpuSeconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

// Unix time of boot, and clock ticks since then at which this process started (field 22 of stat;
// counting starts behind the command name, which may hold spaces).
double StartTime() {
  std::ifstream stat("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int index = 3; index <= 22; ++index) fields >> field;
  std::ifstream system("/proc/stat");
  double boot = 0;
  for (std::string word; system >> word;) {
    if (word == "btime") system >> boot;
  }
  return boot + std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// "max" (cgroup v2: no limit) and a missing file read as nothing.
std::int64_t LimitIn(const char* file, std::int64_t otherwise) {
  std::int64_t limit = 0;
  std::ifstream(file) >> limit;
  return limit > 0 ? limit : otherwise;
}

}  // namespace

std::int64_t MemoryLimitBytes() {
  const std::int64_t physical =
      std::int64_t{sysconf(_SC_PHYS_PAGES)} * std::int64_t{sysconf(_SC_PAGESIZE)};
  const std::int64_t newer = LimitIn("/sys/fs/cgroup/memory.max", physical);
  const std::int64_t older = LimitIn("/sys/fs/cgroup/memory/memory.limit_in_bytes", physical);
  return std::min({physical, newer, older});
}

void ReturnFreeMemory() { malloc_trim(0); }

ProcessInfo GetProcessInfo() {
  ProcessInfo info;
  info.cpu_seconds = CpuSeconds(RUSAGE_SELF);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  info.peak_resident_bytes = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  std::int64_t virtual_pages = 0;
  std::int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  info.virtual_bytes = virtual_pages * page;
  info.resident_bytes = resident_pages * page;
  std::error_code error;
  for (auto file = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    ++info.open_files;
  }
  info.start_time_seconds = StartTime();
  return info;
}

double CpuSecondsWithChildren() { return CpuSeconds(RUSAGE_SELF) + CpuSeconds(RUSAGE_CHILDREN); }

}  // namespace caldera::base
