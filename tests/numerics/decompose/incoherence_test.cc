#include "numerics/decompose/incoherence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

using kernels::Direction;

TEST(Rotation, SignsDependOnSeedAndSide) {
  const Rotation input = MakeRotation(576, 1, Side::kInput);
  EXPECT_EQ(input.block, 64);
  EXPECT_EQ(input.signs, MakeRotation(576, 1, Side::kInput).signs);
  EXPECT_NE(input.signs, MakeRotation(576, 2, Side::kInput).signs);
  EXPECT_NE(input.signs, MakeRotation(576, 1, Side::kOutput).signs);
  const std::vector<std::uint8_t> bits = SignBits(input);
  for (std::size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(bits[i], input.signs[i] < 0 ? 1 : 0);
}

TEST(Rotation, InverseUndoesForwardOnBothSides) {
  for (const auto& [m, n] : {std::pair{1, 7}, {7, 192}, {192, 576}, {256, 24}}) {
    const linalg::MatrixF weight = Gaussian(m, n, 1);
    const Rotation input = MakeRotation(n, 1, Side::kInput);
    const Rotation output = MakeRotation(m, 1, Side::kOutput);
    linalg::MatrixF rotated = weight;
    RotateInputs(rotated.view(), input, Direction::kForward);
    RotateOutputs(rotated.view(), output, 0, Direction::kForward);
    EXPECT_NEAR(linalg::Dot(rotated.view(), rotated.view()),
                linalg::Dot(weight.view(), weight.view()), 1e-5 * m * n);
    RotateOutputs(rotated.view(), output, 0, Direction::kInverse);
    RotateInputs(rotated.view(), input, Direction::kInverse);
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) EXPECT_NEAR(rotated(i, j), weight(i, j), 1e-5);
    }
  }
}

TEST(Rotation, RowsOfARankRotateAsTheyDoInTheWhole) {
  const linalg::MatrixF weight = Gaussian(256, 32, 1);
  const Rotation output = MakeRotation(256, 1, Side::kOutput);
  linalg::MatrixF whole = weight;
  RotateOutputs(whole.view(), output, 0, Direction::kForward);
  linalg::MatrixF lower(128, 32);
  linalg::Copy(weight.view().Rows(128, 128), lower.view());
  RotateOutputs(lower.view(), output, 128, Direction::kForward);
  for (std::int64_t i = 0; i < 128; ++i) {
    for (std::int64_t j = 0; j < 32; ++j) EXPECT_EQ(lower(i, j), whole(128 + i, j));
  }
}

TEST(Rotation, KeepsTheObjective) {
  const linalg::MatrixF hessian = OutlierHessian(48);
  const linalg::MatrixF weight = Gaussian(16, 48, 2);
  const Rotation input = MakeRotation(48, 3, Side::kInput);
  linalg::MatrixF rotated_h = hessian;
  linalg::MatrixF rotated_w = weight;
  RotateSymmetric(rotated_h.view(), input);
  RotateInputs(rotated_w.view(), input, Direction::kForward);
  const auto objective = [](const linalg::MatrixF& w, const linalg::MatrixF& h) {
    linalg::MatrixF wh(w.rows(), w.columns());
    linalg::Gemm(w, h, wh.view());
    return linalg::Dot(wh.view(), w.view());
  };
  const double expected = objective(weight, hessian);
  EXPECT_NEAR(objective(rotated_w, rotated_h), expected, 1e-5 * expected);
}

TEST(Rotation, SpreadsAnOutlierChannelOverItsBlock) {
  linalg::MatrixF h = Identity(64);
  h(5, 5) = 6400;
  RotateSymmetric(h.view(), MakeRotation(64, 1, Side::kInput));
  for (std::int64_t i = 0; i < 64; ++i) EXPECT_NEAR(h(i, i), 100 + 63. / 64, .05);
}

}  // namespace
}  // namespace caldera::decompose
