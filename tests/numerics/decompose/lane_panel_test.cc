#include "numerics/decompose/lane_panel.h"

#include <gtest/gtest.h>

#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

TEST(LanePanel, PutsComponentIOfVectorVInLaneIVPlusV) {
  linalg::MatrixF rows(13, 70);
  for (std::int64_t i = 0; i < 13; ++i) {
    for (std::int64_t j = 0; j < 70; ++j) rows(i, j) = static_cast<float>(100 * (i + 1) + j);
  }
  linalg::MatrixF lanes = Gaussian(70, LanesOf(13), 1);
  ASSERT_EQ(lanes.columns(), 16);
  PackLanes(rows.view(), lanes.view());
  for (std::int64_t j = 0; j < 70; ++j) {
    for (std::int64_t v = 0; v < 2; ++v) {
      for (std::int64_t i = 0; i < 8; ++i) {
        const float expected = 8 * v + i < 13 ? rows(8 * v + i, j) : 0;
        EXPECT_EQ(lanes(j, i * 2 + v), expected);
      }
    }
  }
}

TEST(LanePanel, UnpackUndoesPack) {
  for (const std::int64_t count : {0, 1, 8, 63, 128}) {
    for (const std::int64_t columns : {1, 32, 33, 128}) {
      const linalg::MatrixF rows = Gaussian(count, columns, 1);
      linalg::MatrixF lanes(columns, LanesOf(count));
      linalg::MatrixF back(count, columns);
      PackLanes(rows.view(), lanes.view());
      UnpackLanes(std::as_const(lanes).view(), back.view());
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) EXPECT_EQ(back(i, j), rows(i, j));
      }
    }
  }
}

}  // namespace
}  // namespace caldera::decompose
