#include "numerics/dist/communicator.h"

#include <gtest/gtest.h>

#include <atomic>

#include "numerics/dist/thread_communicator.h"
#include "tests/contracts/communicator_contract.h"

namespace caldera::dist {
namespace {

TEST(SerialCommunicator, KeepsTheContract) {
  SerialCommunicator communicator;
  contracts::CheckCommunicator(communicator);
}

class ThreadCommunicatorRanks : public ::testing::TestWithParam<int> {};

TEST_P(ThreadCommunicatorRanks, KeepTheContract) {
  RunRanks(GetParam(), [](Communicator& communicator) {
    for (int repeat = 0; repeat < 20; ++repeat) contracts::CheckCommunicator(communicator);
  });
}

TEST_P(ThreadCommunicatorRanks, EachRunOnce) {
  std::atomic<int> seen{0};
  RunRanks(GetParam(), [&](Communicator& communicator) { seen += 1 << communicator.rank(); });
  EXPECT_EQ(seen, (1 << GetParam()) - 1);
}

INSTANTIATE_TEST_SUITE_P(Counts, ThreadCommunicatorRanks, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace caldera::dist
