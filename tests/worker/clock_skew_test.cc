#include "worker/clock_skew.h"

#include <gtest/gtest.h>

namespace caldera::worker {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// A call that took so long, answered by a clock that is so far ahead.
ClockReading Reading(absl::Duration ahead, absl::Duration took = absl::Milliseconds(10)) {
  return {kNow, kNow + took, kNow + took / 2 + ahead};
}

TEST(ClockSkew, IsNoNewsWithinTheTolerance) {
  ClockSkew skew(absl::Seconds(10));
  EXPECT_EQ(skew.Observe(Reading(absl::Seconds(9))), std::nullopt);
  EXPECT_EQ(skew.Observe(Reading(-absl::Seconds(9))), std::nullopt);
}

TEST(ClockSkew, IsToldOnceWithItsSign) {
  ClockSkew skew(absl::Seconds(10));
  const auto told = skew.Observe(Reading(-absl::Hours(1)));
  ASSERT_TRUE(told.has_value());
  EXPECT_NEAR(absl::ToDoubleSeconds(*told), -3600, .1);
  EXPECT_EQ(skew.Observe(Reading(-absl::Hours(1))), std::nullopt);
}

TEST(ClockSkew, IsToldAgainWhenItGrowsAndWhenItIsOver) {
  ClockSkew skew(absl::Seconds(10));
  EXPECT_TRUE(skew.Observe(Reading(absl::Minutes(1))).has_value());
  EXPECT_TRUE(skew.Observe(Reading(absl::Minutes(2))).has_value());
  EXPECT_EQ(skew.Observe(Reading(absl::Seconds(1))), absl::ZeroDuration());
  EXPECT_EQ(skew.Observe(Reading(absl::Seconds(1))), std::nullopt);
}

TEST(ClockSkew, AnAnswerThatTookLongProvesLittle) {
  ClockSkew skew(absl::Seconds(10));
  EXPECT_EQ(skew.Observe(Reading(absl::Seconds(14), absl::Seconds(20))), std::nullopt);
  EXPECT_TRUE(skew.Observe(Reading(absl::Seconds(21), absl::Seconds(20))).has_value());
}

}  // namespace
}  // namespace caldera::worker
