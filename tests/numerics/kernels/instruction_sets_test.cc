// Every instruction set that this processor offers runs the same checks: what dispatch would choose
// elsewhere is tested here too.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numerics/kernels/convert.h"
#include "numerics/kernels/hadamard.h"
#include "numerics/kernels/panel.h"
#include "numerics/kernels/reference.h"
#include "numerics/kernels/transformer.h"

namespace caldera::kernels {
namespace {

class InstructionSets : public ::testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

std::vector<float> Wave(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = 3 * std::sin(0.7F * static_cast<float>(i));
  return values;
}

TEST_P(InstructionSets, TransformWithTheBitsOfTheReference) {
  for (const std::size_t block : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U}) {
    std::vector<float> fast = Wave(3 * block * block);
    std::vector<float> slow = fast;
    const std::vector<float> signs(3 * block, -1.0F);
    const std::size_t columns = 3 * block;
    HadamardAlongRows({fast.data(), block, columns, columns}, block, signs.data(),
                      Direction::kForward);
    HadamardAcrossRows({fast.data(), block, columns, columns}, block, nullptr, Direction::kInverse);
    reference::HadamardAlongRows({slow.data(), block, columns, columns}, block, signs.data(),
                                 Direction::kForward);
    reference::HadamardAcrossRows({slow.data(), block, columns, columns}, block, nullptr,
                                  Direction::kInverse);
    EXPECT_EQ(fast, slow) << block;
  }
}

TEST_P(InstructionSets, ConvertWithTheBitsOfTheReference) {
  std::vector<float> values = Wave(101);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::ldexp(values[i], static_cast<int>(i) / 2 - 30);
  }
  std::vector<std::uint16_t> fast(values.size());
  std::vector<std::uint16_t> slow(values.size());
  FloatToFloat16(values.data(), values.size(), fast.data());
  reference::FloatToFloat16(values.data(), values.size(), slow.data());
  EXPECT_EQ(fast, slow);
  std::vector<float> wide(values.size());
  std::vector<float> plain(values.size());
  Float16ToFloat(fast.data(), fast.size(), wide.data());
  reference::Float16ToFloat(fast.data(), fast.size(), plain.data());
  EXPECT_EQ(wide, plain);
}

TEST_P(InstructionSets, AgreeWithTheReferenceToRounding) {
  for (const std::size_t count : {1U, 15U, 100U, 577U}) {
    const std::vector<float> x = Wave(count);
    std::vector<float> fast = x;
    std::vector<float> slow = x;
    Softmax(fast.data(), count);
    reference::Softmax(slow.data(), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(fast[i], slow[i], 1e-6F);
    SiluTimes(x.data(), x.data(), count, fast.data());
    reference::SiluTimes(x.data(), x.data(), count, slow.data());
    for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(fast[i], slow[i], 1e-5F);
    const double exact = reference::DotDouble(x.data(), x.data(), count);
    EXPECT_NEAR(Dot(x.data(), x.data(), count), exact, 6e-8 * exact * 30);
    EXPECT_NEAR(DotDouble(x.data(), x.data(), count), exact, 1e-13 * exact);
    EXPECT_NEAR(LogSumExp(x.data(), count), reference::LogSumExp(x.data(), count), 1e-6);
  }
}

TEST_P(InstructionSets, WorkOnPanels) {
  constexpr std::size_t kRows = 9;
  constexpr std::size_t kColumns = 101;
  const std::vector<float> panel = Wave(kRows * kColumns);
  std::vector<float> turned(panel.size());
  Transpose({panel.data(), kRows, kColumns}, kColumns, turned.data(), kRows);
  std::vector<float> sum(kColumns);
  const std::vector<float> weights = Wave(kRows);
  AddWeightedRows(weights.data(), {panel.data(), kRows, kColumns}, sum.data(), kColumns);
  for (std::size_t j = 0; j < kColumns; ++j) {
    double expected = 0;
    for (std::size_t i = 0; i < kRows; ++i) {
      EXPECT_EQ(turned[j * kRows + i], panel[i * kColumns + j]);
      expected += static_cast<double>(weights[i]) * static_cast<double>(panel[i * kColumns + j]);
    }
    EXPECT_NEAR(sum[j], expected, 5e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(OfThisProcessor, InstructionSets,
                         ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()));

}  // namespace
}  // namespace caldera::kernels
