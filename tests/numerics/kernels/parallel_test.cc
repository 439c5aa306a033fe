#include "numerics/kernels/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace caldera::kernels {
namespace {

class ParallelThreads : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { SetThreads(GetParam()); }
  void TearDown() override { SetThreads(1); }
};

TEST_P(ParallelThreads, VisitsEachIndexOnce) {
  for (const std::int64_t count : {0, 1, 2, 101}) {
    std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
    ParallelFor(count, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
    for (const auto& visit : visits) EXPECT_EQ(visit, 1);
  }
}

TEST_P(ParallelThreads, RunsANestedLoopInTheCallingThread) {
  std::atomic<int> strangers{0};
  ParallelFor(8, [&](std::int64_t) {
    const std::thread::id caller = std::this_thread::get_id();
    ParallelFor(8,
                [&](std::int64_t) { strangers += std::this_thread::get_id() == caller ? 0 : 1; });
  });
  EXPECT_EQ(strangers, 0);
}

TEST_P(ParallelThreads, WorksFromSeveralThreadsAtOnce) {
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 4; ++rank) {
    ranks.emplace_back([&] { ParallelFor(100, [&](std::int64_t i) { sum += i; }); });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(sum, 4 * 4950);
}

INSTANTIATE_TEST_SUITE_P(Counts, ParallelThreads, ::testing::Values(1, 2, 4));

TEST(Parallel, TreatsFewerThanOneThreadAsOne) {
  SetThreads(0);
  EXPECT_EQ(Threads(), 1);
}

}  // namespace
}  // namespace caldera::kernels
