#include "common/base/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace caldera::base {
namespace {

TEST(SystemClock, ReturnsAtOnceForAPastDeadline) {
  SystemClock clock;
  Wakeup wakeup;
  EXPECT_EQ(clock.WaitUntil(absl::InfinitePast(), wakeup), WaitResult::kDeadline);
  EXPECT_EQ(clock.WaitUntil(clock.Now(), wakeup), WaitResult::kDeadline);
}

TEST(SystemClock, ReachesAShortDeadline) {
  SystemClock clock;
  Wakeup wakeup;
  const absl::Time deadline = clock.Now() + absl::Milliseconds(2);
  EXPECT_EQ(clock.WaitUntil(deadline, wakeup), WaitResult::kDeadline);
  EXPECT_GE(clock.Now(), deadline);
}

TEST(SystemClock, IsWokenByAnotherThread) {
  SystemClock clock;
  Wakeup wakeup;
  std::thread waker([&wakeup] { wakeup.Notify(); });
  EXPECT_EQ(clock.WaitUntil(absl::InfiniteFuture(), wakeup), WaitResult::kWoken);
  waker.join();
}

TEST(SystemClock, KeepsANotificationForOneWait) {
  SystemClock clock;
  Wakeup wakeup;
  wakeup.Notify();
  wakeup.Notify();
  EXPECT_EQ(clock.WaitUntil(absl::InfinitePast(), wakeup), WaitResult::kWoken);
  EXPECT_EQ(clock.WaitUntil(absl::InfinitePast(), wakeup), WaitResult::kDeadline);
}

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock(absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(105));
}

TEST(ManualClock, AdvancingEndsTheWaitsWhoseDeadlineHasCome) {
  ManualClock clock;
  Wakeup early_wakeup;
  Wakeup late_wakeup;
  std::thread early(
      [&] { EXPECT_EQ(clock.WaitFor(absl::Seconds(10), early_wakeup), WaitResult::kDeadline); });
  std::thread late(
      [&] { EXPECT_EQ(clock.WaitFor(absl::Seconds(20), late_wakeup), WaitResult::kWoken); });
  clock.AwaitWaiters(2);
  clock.Advance(absl::Seconds(10));
  early.join();
  EXPECT_EQ(clock.waiters(), 1);
  late_wakeup.Notify();
  late.join();
  EXPECT_EQ(clock.waiters(), 0);
}

// The waiter may see the new time before Advance comes to its wakeup, and drops it then.
TEST(ManualClock, AWakeupMayGoAsSoonAsItsWaitIsOver) {
  ManualClock clock;
  std::atomic<bool> done = false;
  std::thread waiter([&] {
    for (int i = 0; i < 500; ++i) {
      const auto wakeup = std::make_unique<Wakeup>();
      EXPECT_EQ(clock.WaitFor(absl::Seconds(1), *wakeup), WaitResult::kDeadline);
    }
    done = true;
  });
  while (!done) {
    clock.Advance(absl::Seconds(1));
    std::this_thread::yield();
  }
  waiter.join();
}

TEST(ManualClock, ANotificationWinsOverADeadline) {
  ManualClock clock;
  Wakeup wakeup;
  wakeup.Notify();
  EXPECT_EQ(clock.WaitUntil(clock.Now(), wakeup), WaitResult::kWoken);
  EXPECT_EQ(clock.WaitUntil(clock.Now(), wakeup), WaitResult::kDeadline);
}

}  // namespace
}  // namespace caldera::base
