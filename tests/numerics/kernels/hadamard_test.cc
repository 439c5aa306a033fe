#include "numerics/kernels/hadamard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "numerics/kernels/reference.h"

namespace caldera::kernels {
namespace {

using ::testing::ElementsAreArray;
using ::testing::FloatNear;
using ::testing::Pointwise;

struct Size {
  std::size_t rows;
  std::size_t columns;
  std::size_t block;
};

// Smooth values without symmetry; the stride leaves a gap that must stay untouched.
std::vector<float> Values(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::sin(1.0F + 0.37F * static_cast<float>(i)) + 0.01F * static_cast<float>(i % 7);
  }
  return values;
}

std::vector<float> Signs(std::size_t count) {
  std::vector<float> signs(count);
  for (std::size_t i = 0; i < count; ++i) signs[i] = (i * i + i / 3) % 2 == 0 ? 1.0F : -1.0F;
  return signs;
}

RowWindow Window(std::vector<float>& values, const Size& size) {
  return {values.data(), size.rows, size.columns, size.columns + 3};
}

class HadamardSizes : public ::testing::TestWithParam<Size> {};

TEST_P(HadamardSizes, AlongRowsGivesTheBitsOfTheReference) {
  const Size size = GetParam();
  const std::vector<float> signs = Signs(size.columns);
  for (const Direction direction : {Direction::kForward, Direction::kInverse}) {
    std::vector<float> fast = Values(size.rows * (size.columns + 3));
    std::vector<float> slow = fast;
    HadamardAlongRows(Window(fast, size), size.block, signs.data(), direction);
    reference::HadamardAlongRows(Window(slow, size), size.block, signs.data(), direction);
    EXPECT_THAT(fast, ElementsAreArray(slow));
  }
}

TEST_P(HadamardSizes, AcrossRowsGivesTheBitsOfTheReference) {
  const Size size{GetParam().columns, GetParam().rows, GetParam().block};
  const std::vector<float> signs = Signs(size.rows);
  for (const Direction direction : {Direction::kForward, Direction::kInverse}) {
    std::vector<float> fast = Values(size.rows * (size.columns + 3));
    std::vector<float> slow = fast;
    HadamardAcrossRows(Window(fast, size), size.block, signs.data(), direction);
    reference::HadamardAcrossRows(Window(slow, size), size.block, signs.data(), direction);
    EXPECT_THAT(fast, ElementsAreArray(slow));
  }
}

TEST_P(HadamardSizes, InverseUndoesForwardWithAndWithoutSigns) {
  const Size size = GetParam();
  const std::vector<float> signs = Signs(size.columns);
  for (const float* sign_values : {signs.data(), static_cast<const float*>(nullptr)}) {
    const std::vector<float> before = Values(size.rows * (size.columns + 3));
    std::vector<float> after = before;
    HadamardAlongRows(Window(after, size), size.block, sign_values, Direction::kForward);
    HadamardAlongRows(Window(after, size), size.block, sign_values, Direction::kInverse);
    // Two passes of log2(block) additions of values whose norm over a block is at most 1.1
    // sqrt(block).
    const float tolerance = 1.2e-7F * 2.2F * std::sqrt(static_cast<float>(size.block)) *
                            (2.0F * std::log2(static_cast<float>(size.block)) + 2.0F);
    EXPECT_THAT(after, Pointwise(FloatNear(tolerance), before));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, HadamardSizes,
                         ::testing::Values(Size{0, 8, 8}, Size{3, 0, 4}, Size{1, 1, 1},
                                           Size{2, 7, 1}, Size{3, 6, 2}, Size{1, 20, 4},
                                           Size{2, 40, 8}, Size{2, 48, 16}, Size{1, 32, 32},
                                           Size{5, 192, 64}, Size{2, 576, 64}, Size{70, 128, 128},
                                           Size{2, 1152, 128}, Size{1, 2048, 1024}));

TEST(Hadamard, OfAUnitVectorIsARowOfTheSylvesterMatrix) {
  std::vector<float> x(8, 0.0F);
  x[5] = 1.0F;
  HadamardAlongRows({x.data(), 1, 8, 8}, 8, nullptr, Direction::kForward);
  for (std::size_t i = 0; i < 8; ++i) {
    const bool odd = ((i & 1U) != 0) != ((i & 4U) != 0);
    EXPECT_FLOAT_EQ(x[i], (odd ? -1.0F : 1.0F) / std::sqrt(8.0F)) << i;
  }
}

TEST(Hadamard, LeavesTheGapBetweenRowsAlone) {
  std::vector<float> values = Values(4 * 67);
  const std::vector<float> before = values;
  HadamardAlongRows({values.data(), 4, 64, 67}, 64, nullptr, Direction::kForward);
  HadamardAcrossRows({values.data(), 4, 64, 67}, 4, nullptr, Direction::kForward);
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 64; j < 67; ++j) EXPECT_EQ(values[i * 67 + j], before[i * 67 + j]);
  }
}

TEST(Hadamard, BlockIsTheLargestPowerOfTwoUpTo128ThatDividesTheSize) {
  EXPECT_EQ(HadamardBlock(1), 1);
  EXPECT_EQ(HadamardBlock(7), 1);
  EXPECT_EQ(HadamardBlock(192), 64);
  EXPECT_EQ(HadamardBlock(576), 64);
  EXPECT_EQ(HadamardBlock(1536), 128);
  EXPECT_EQ(HadamardBlock(4096), 128);
  EXPECT_EQ(HadamardBlock(11008), 128);
  EXPECT_EQ(HadamardBlock(18944), 128);
  EXPECT_EQ(HadamardBlock(29568), 128);
}

}  // namespace
}  // namespace caldera::kernels
