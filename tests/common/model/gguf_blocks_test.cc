// Closed forms for each block type; tests/python/test_model_io.py compares random blocks with
// gguf-py.
#include "common/model/gguf_blocks.h"

#include <gtest/gtest.h>

#include <vector>

namespace caldera::model {
namespace {

using Block = std::vector<std::uint8_t>;

std::vector<float> Decode(Dtype dtype, const Block& block) {
  std::vector<float> out(static_cast<std::size_t>(BlockElements(dtype)));
  EXPECT_EQ(block.size(), static_cast<std::size_t>(BlockBytes(dtype)));
  EXPECT_TRUE(DecodeToFloat(dtype, std::as_bytes(std::span(block)), out).ok());
  return out;
}

// A block of `size` zeros with IEEE half 2.0 at `d`.
Block WithScaleTwo(std::size_t size, std::size_t d) {
  Block block(size, 0);
  block[d + 1] = 0x40;
  return block;
}

TEST(GgufBlocks, Q4_0CentresNibblesAtEight) {
  Block block = WithScaleTwo(18, 0);
  block[2] = 0xF1;
  const auto out = Decode(Dtype::kQ4_0, block);
  EXPECT_EQ(out[0], 2.0F * (1 - 8));
  EXPECT_EQ(out[16], 2.0F * (15 - 8));
  EXPECT_EQ(out[1], -16.0F);
}

TEST(GgufBlocks, Q4_1AddsTheMinimum) {
  Block block = WithScaleTwo(20, 0);
  block[3] = 0x3C;  // m = 1
  block[4 + 15] = 0xA3;
  const auto out = Decode(Dtype::kQ4_1, block);
  EXPECT_EQ(out[15], 7.0F);
  EXPECT_EQ(out[31], 21.0F);
  EXPECT_EQ(out[0], 1.0F);
}

TEST(GgufBlocks, Q5_0TakesTheFifthBitFromTheMask) {
  Block block = WithScaleTwo(22, 0);
  block[2] = 0x01;      // value 0
  block[2 + 3] = 0x80;  // value 31
  block[6] = 0x03;
  const auto out = Decode(Dtype::kQ5_0, block);
  EXPECT_EQ(out[0], 2.0F * (19 - 16));
  EXPECT_EQ(out[31], 2.0F * (16 - 16));
  EXPECT_EQ(out[1], -32.0F);
}

TEST(GgufBlocks, Q5_1AddsTheMinimumToFiveBits) {
  Block block = WithScaleTwo(24, 0);
  block[3] = 0x3C;
  block[4 + 2] = 0x01;  // fifth bit of value 16
  block[8] = 0x20;
  const auto out = Decode(Dtype::kQ5_1, block);
  EXPECT_EQ(out[16], 2.0F * 18 + 1);
  EXPECT_EQ(out[0], 1.0F);
}

TEST(GgufBlocks, Q8_0IsSigned) {
  Block block = WithScaleTwo(34, 0);
  block[2] = 0x80;
  block[33] = 0x7F;
  const auto out = Decode(Dtype::kQ8_0, block);
  EXPECT_EQ(out[0], -256.0F);
  EXPECT_EQ(out[31], 254.0F);
}

TEST(GgufBlocks, Q4_KUnpacksSixBitScalesOfBothHalves) {
  Block block = WithScaleTwo(144, 0);
  block[3] = 0x3C;        // dmin = 1
  block[4 + 0] = 0xC5;    // group 0: scale 5; group 4: high bits 3
  block[4 + 4] = 0x42;    // group 0: minimum 2; group 4: high bits of the minimum 1
  block[4 + 8] = 0x97;    // group 4: low nibbles: scale 7, minimum 9
  block[16] = 0x03;       // group 0, value 0
  block[16 + 64] = 0x04;  // group 4, value 0
  const auto out = Decode(Dtype::kQ4_K, block);
  EXPECT_EQ(out[0], 2.0F * 5 * 3 - 2);
  EXPECT_EQ(out[1], -2.0F);
  EXPECT_EQ(out[128], 2.0F * (7 + 48) * 4 - (9 + 16));
}

TEST(GgufBlocks, Q6_KJoinsNibblesPairsAndSignedScales) {
  Block block = WithScaleTwo(210, 208);
  block[0] = 0x5A;      // low nibbles of values 0 and 64
  block[128] = 0x33;    // high pairs: value 0 -> 3, value 64 -> 3
  block[192] = 0xFF;    // scale of values 0..15 is -1
  block[192 + 4] = 2;   // scale of values 64..79
  block[192 + 15] = 1;  // scale of values 240..255
  const auto out = Decode(Dtype::kQ6_K, block);
  EXPECT_EQ(out[0], -2.0F * (0x3A - 32));
  EXPECT_EQ(out[64], 4.0F * (0x35 - 32));
  EXPECT_EQ(out[255], 2.0F * -32);
  EXPECT_EQ(out[16], 0.0F);
}

TEST(GgufBlocks, DecodesSeveralBlocksInARow) {
  Block two = WithScaleTwo(34, 0);
  const Block second = two;
  two[2] = 1;
  two.insert(two.end(), second.begin(), second.end());
  two[34 + 2] = 3;
  std::vector<float> out(64);
  ASSERT_TRUE(DecodeToFloat(Dtype::kQ8_0, std::as_bytes(std::span(two)), out).ok());
  EXPECT_EQ(out[0], 2.0F);
  EXPECT_EQ(out[32], 6.0F);
}

TEST(GgufBlocks, RejectsPlainTypes) { EXPECT_FALSE(DecodeBlocks(Dtype::kF32, {}, {}).ok()); }

}  // namespace
}  // namespace caldera::model
