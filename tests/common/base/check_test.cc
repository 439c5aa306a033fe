#include "common/base/check.h"

#include <gtest/gtest.h>

namespace caldera::base {
namespace {

TEST(Check, PassesSilently) { CALDERA_CHECK(1 + 1 == 2, "arithmetic"); }

TEST(CheckDeathTest, AbortsNamingPlaceConditionAndMessage) {
  const int rows = 0;
  EXPECT_DEATH(CALDERA_CHECK(rows > 0, "matrix {} is empty", "w"),
               "check_test.cc:[0-9]+: check failed: rows > 0: matrix w is empty");
}

}  // namespace
}  // namespace caldera::base
