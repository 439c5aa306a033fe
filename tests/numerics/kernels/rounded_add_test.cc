#include "numerics/kernels/rounded_add.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "numerics/kernels/reference.h"

namespace caldera::kernels {
namespace {

constexpr double kSpacing = 0x1p-10;
constexpr double kShift = 0x1.8p52 * kSpacing;

template <typename T>
class RoundedAdd : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RoundedAdd, Scalars);

TYPED_TEST(RoundedAdd, AddsTheNearestMultipleOfTheSpacing) {
  for (std::size_t count = 0; count < 40; ++count) {
    std::vector<TypeParam> x(count);
    std::vector<double> sums(count + 1, 2.0);
    for (std::size_t i = 0; i < count; ++i) {
      x[i] = static_cast<TypeParam>(std::sin(static_cast<double>(i)));
    }
    AddRounded(x.data(), count, kShift, sums.data());
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(sums[i], 2.0 + std::nearbyint(static_cast<double>(x[i]) / kSpacing) * kSpacing);
    }
    EXPECT_EQ(sums[count], 2.0);
  }
}

TYPED_TEST(RoundedAdd, GivesTheBitsOfTheReference) {
  std::vector<TypeParam> x(1001);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<TypeParam>(std::cos(0.3 * static_cast<double>(i)));
  }
  std::vector<double> fast(x.size(), 0.125);
  std::vector<double> slow = fast;
  AddRounded(x.data(), x.size(), kShift, fast.data());
  reference::AddRounded(x.data(), x.size(), kShift, slow.data());
  EXPECT_EQ(fast, slow);
}

}  // namespace
}  // namespace caldera::kernels
