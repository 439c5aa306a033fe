#include "common/base/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/base/status.h"

namespace caldera::base {
namespace {

// Moves a ManualClock until the function has returned.
template <typename Function>
void RunWhileAdvancing(ManualClock& clock, Function function) {
  std::atomic<bool> done = false;
  std::thread thread([&] {
    function();
    done = true;
  });
  while (!done) {
    clock.Advance(absl::Hours(1));
    std::this_thread::yield();
  }
  thread.join();
}

TEST(Backoff, GrowsToItsMaximumWithoutJitter) {
  Backoff backoff({.initial_backoff = absl::Seconds(1),
                   .multiplier = 3,
                   .maximum_backoff = absl::Seconds(10),
                   .jitter = 0});
  EXPECT_EQ(backoff.Next(), absl::Seconds(1));
  EXPECT_EQ(backoff.Next(), absl::Seconds(3));
  EXPECT_EQ(backoff.Next(), absl::Seconds(9));
  EXPECT_EQ(backoff.Next(), absl::Seconds(10));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), absl::Seconds(1));
}

TEST(Backoff, JitterStaysInItsBoundsAndFollowsTheSeed) {
  const RetryOptions options{.multiplier = 1, .jitter = 0.5, .seed = 42};
  RetryOptions other_options = options;
  other_options.seed = 43;
  Backoff backoff(options);
  Backoff same(options);
  Backoff other(other_options);
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GE(delay, absl::Milliseconds(500));
    EXPECT_LT(delay, absl::Milliseconds(1500));
    EXPECT_EQ(delay, same.Next());
    differs = differs || delay != other.Next();
  }
  EXPECT_TRUE(differs);
}

TEST(Retry, TriesUntilItSucceeds) {
  ManualClock clock;
  int calls = 0;
  absl::Status status = Internal("not run");
  RunWhileAdvancing(clock, [&] {
    status = Retry({}, clock, [&calls] {
      return ++calls < 3 ? Unavailable("call {}", calls) : absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(calls, 3);
}

TEST(Retry, PassesOnWhatIsNotRetryable) {
  ManualClock clock;
  int calls = 0;
  const absl::Status status = Retry({}, clock, [&calls] {
    ++calls;
    return DataLoss("broken");
  });
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_EQ(calls, 1);
}

TEST(Retry, StopsAfterTheLastAttempt) {
  ManualClock clock;
  int calls = 0;
  absl::Status status;
  RunWhileAdvancing(clock, [&] {
    status =
        Retry({.maximum_attempts = 3}, clock, [&calls] { return Unavailable("call {}", ++calls); });
  });
  EXPECT_EQ(MessageOf(status), "call 3");
}

TEST(Retry, DoesNotWaitPastTheTimeLimit) {
  ManualClock clock;
  int calls = 0;
  const absl::Status status =
      Retry({.initial_backoff = absl::Seconds(10), .time_limit = absl::Seconds(1)}, clock,
            [&calls] { return Unavailable("call {}", ++calls); });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(calls, 1);
}

TEST(Retry, IsStoppedByAWakeup) {
  ManualClock clock;
  Wakeup stop;
  stop.Notify();
  const absl::Status status = Retry({}, clock, stop, [] { return Unavailable("down"); });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_THAT(MessageOf(status), testing::HasSubstr("down"));
}

TEST(Retry, KnowsWhatMayBeTriedAgain) {
  EXPECT_TRUE(IsTransient(Unavailable("x")));
  EXPECT_FALSE(IsTransient(Aborted("x")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
  for (const absl::Status& status : {Unavailable("x"), Aborted("x"), ResourceExhausted("x")}) {
    EXPECT_TRUE(IsRetryableWork(status));
  }
  for (const absl::Status& status :
       {InvalidArgument("x"), DataLoss("x"), FailedPrecondition("x")}) {
    EXPECT_FALSE(IsRetryableWork(status));
  }
}

}  // namespace
}  // namespace caldera::base
