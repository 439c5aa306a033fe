#include "numerics/dist/poll.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace caldera::dist {
namespace {

// The pauses of a wait for something that is ready when asked for the `asks`-th time.
std::vector<int> PausesUntilAsk(int asks) {
  std::vector<int> pauses;
  int asked = 0;
  PollAsleep([&] { return ++asked == asks; },
             [&](std::chrono::milliseconds pause) {
               pauses.push_back(static_cast<int>(pause.count()));
               EXPECT_EQ(asked, static_cast<int>(pauses.size()));
             });
  EXPECT_EQ(asked, asks);
  return pauses;
}

TEST(PollAsleep, DoesNotSleepWhenReadyAtOnce) {
  EXPECT_THAT(PausesUntilAsk(1), testing::IsEmpty());
}

TEST(PollAsleep, SleepsBetweenAnyTwoQuestionsAndLongerEachTime) {
  EXPECT_THAT(PausesUntilAsk(9), testing::ElementsAre(1, 2, 4, 8, 16, 20, 20, 20));
}

}  // namespace
}  // namespace caldera::dist
