#include "numerics/kernels/panel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

namespace caldera::kernels {
namespace {

constexpr float kUntouched = -7;

std::vector<float> Wave(std::size_t count, float frequency) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::sin(frequency * static_cast<float>(i + 1));
  }
  return values;
}

struct Size {
  std::size_t rows;
  std::size_t columns;
};

class PanelSizes : public ::testing::TestWithParam<Size> {};

TEST_P(PanelSizes, TransposePutsRowIInColumnIAndNothingElsewhere) {
  const auto [rows, columns] = GetParam();
  const std::size_t stride = columns + 3;
  const std::size_t to_stride = rows + 2;
  const std::vector<float> from = Wave(rows * stride, .7F);
  std::vector<float> to(columns * to_stride, kUntouched);
  Transpose({from.data(), rows, stride}, columns, to.data(), to_stride);
  for (std::size_t j = 0; j < columns; ++j) {
    for (std::size_t i = 0; i < to_stride; ++i) {
      ASSERT_EQ(to[j * to_stride + i], i < rows ? from[i * stride + j] : kUntouched)
          << i << " " << j;
    }
  }
}

TEST_P(PanelSizes, AddWeightedRowsAddsToTheSum) {
  const auto [rows, columns] = GetParam();
  const std::size_t stride = columns + 1;
  const std::vector<float> weights = Wave(rows, 1.1F);
  const std::vector<float> panel = Wave(rows * stride, .3F);
  std::vector<float> sum = Wave(columns + 1, .9F);
  const std::vector<float> before = sum;
  AddWeightedRows(weights.data(), {panel.data(), rows, stride}, sum.data(), columns);
  for (std::size_t i = 0; i < columns; ++i) {
    double expected = before[i];
    for (std::size_t j = 0; j < rows; ++j) {
      expected += static_cast<double>(weights[j]) * static_cast<double>(panel[j * stride + i]);
    }
    EXPECT_NEAR(sum[i], expected, 2e-7 * static_cast<double>(rows + 1)) << i;
  }
  EXPECT_EQ(sum[columns], before[columns]);
}

INSTANTIATE_TEST_SUITE_P(All, PanelSizes,
                         ::testing::Values(Size{0, 8}, Size{1, 1}, Size{3, 5}, Size{4, 4},
                                           Size{5, 16}, Size{16, 17}, Size{32, 33}, Size{17, 64},
                                           Size{7, 100}, Size{16, 256}));

TEST(AddWeightedRows, GivesAnElementTheSameBitsWhereverItLies) {
  constexpr std::size_t kRows = 15;
  constexpr std::size_t kLength = 200;
  const std::vector<float> weights = Wave(kRows, 1.1F);
  const std::vector<float> panel = Wave(kRows * kLength, .3F);
  std::vector<float> whole(kLength);
  AddWeightedRows(weights.data(), {panel.data(), kRows, kLength}, whole.data(), kLength);
  for (std::size_t i = 0; i < kLength; ++i) {
    float alone = 0;
    AddWeightedRows(weights.data(), {panel.data() + i, kRows, kLength}, &alone, 1);
    EXPECT_EQ(alone, whole[i]) << i;
  }
}

}  // namespace
}  // namespace caldera::kernels
