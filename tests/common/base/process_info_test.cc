#include "common/base/process_info.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace caldera::base {
namespace {

TEST(ProcessInfo, TellsOfThisProcess) {
  const ProcessInfo info = GetProcessInfo();
  EXPECT_GT(info.resident_bytes, 0);
  EXPECT_GE(info.peak_resident_bytes, info.resident_bytes / 2);
  EXPECT_GT(info.open_files, 2);
  EXPECT_GT(info.start_time_seconds, 1e9);
  EXPECT_GT(MemoryLimitBytes(), info.resident_bytes);
}

// The heaps of the sanitizers keep what is freed.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ProcessInfo, FreeMemoryBetweenWhatStaysIsReturned) {
  constexpr std::size_t kLarge = 32 << 10;
  std::vector<std::unique_ptr<std::vector<char>>> gone;
  std::vector<std::unique_ptr<std::vector<char>>> stays;
  for (int i = 0; i < 2048; ++i) {
    gone.push_back(std::make_unique<std::vector<char>>(kLarge, 'x'));
    stays.push_back(std::make_unique<std::vector<char>>(32, 'y'));
  }
  const std::int64_t before = GetProcessInfo().resident_bytes;
  gone.clear();
  ReturnFreeMemory();
  EXPECT_LT(GetProcessInfo().resident_bytes, before - std::int64_t{2048 * kLarge} / 2);
  EXPECT_EQ(stays.size(), 2048U);
}
#endif

}  // namespace
}  // namespace caldera::base
