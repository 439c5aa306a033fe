#include "coordinator/publish_waits.h"

#include <gtest/gtest.h>

namespace caldera::coordinator {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
absl::Time At(double seconds) { return kStart + absl::Seconds(seconds); }

TEST(PublishWaits, AJobThatNeverFailedIsDue) {
  EXPECT_TRUE(PublishWaits(absl::Minutes(10)).IsDue("job", kStart));
}

TEST(PublishWaits, PausesGrow) {
  PublishWaits waits(absl::Minutes(10));
  EXPECT_TRUE(waits.Postpone("job", At(0)));
  EXPECT_FALSE(waits.IsDue("job", At(.9)));
  EXPECT_TRUE(waits.IsDue("job", At(1)));
  EXPECT_TRUE(waits.IsDue("other", At(0)));
  EXPECT_TRUE(waits.Postpone("job", At(1)));
  EXPECT_FALSE(waits.IsDue("job", At(2.9)));
  EXPECT_TRUE(waits.IsDue("job", At(3)));
  EXPECT_TRUE(waits.DueAt(At(2.9)).empty());
  EXPECT_EQ(waits.DueAt(At(3)), std::set<std::string>{"job"});
}

TEST(PublishWaits, ThePatienceEndsAfterALastTry) {
  PublishWaits waits(absl::Seconds(10));
  double now = 0;
  int tries = 0;
  while (waits.Postpone("job", At(now))) {
    ++tries;
    while (!waits.IsDue("job", At(now))) now += .5;
  }
  EXPECT_EQ(now, 10);
  EXPECT_EQ(tries, 4);
  EXPECT_TRUE(waits.Postpone("job", At(now))) << "a resumed job has a patience of its own";
}

TEST(PublishWaits, APublishedJobIsForgotten) {
  PublishWaits waits(absl::Seconds(10));
  EXPECT_TRUE(waits.Postpone("job", At(0)));
  waits.Forget("job");
  EXPECT_TRUE(waits.IsDue("job", At(0)));
  EXPECT_TRUE(waits.Postpone("job", At(20)));
}

}  // namespace
}  // namespace caldera::coordinator
