#include "common/base/types.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace caldera::base {
namespace {

static_assert(!std::is_convertible_v<int, LayerIndex>);
static_assert(!std::is_constructible_v<GlobalRow, LocalRow>);

TEST(Strong, ComparesByValue) {
  EXPECT_EQ(LayerIndex(3).value(), 3);
  EXPECT_EQ(LayerIndex().value(), 0);
  EXPECT_EQ(JobId("a"), JobId("a"));
  EXPECT_LT(LayerIndex(2), LayerIndex(10));
}

}  // namespace
}  // namespace caldera::base
