#include "common/model/embedding_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>

#include "common/base/status.h"
#include "common/model/dtype.h"

namespace caldera::model {
namespace {

std::vector<float> Random(std::size_t count, float spread, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

std::vector<float> Decoded(const EmbeddingCode& code) {
  std::vector<float> values(code.codes.size());
  EXPECT_TRUE(DecodeEmbedding(code.codes, code.scales, code.columns, values).ok());
  return values;
}

TEST(EmbeddingCode, IsWithinHalfAStepForAnySpread) {
  // The last two spreads make the scale a subnormal half and the smallest half.
  for (const float spread : {1000.0F, 1.0F, 0.02F, 1e-3F, 1e-6F}) {
    const std::vector<float> values = Random(7 * 33, spread, 1);
    const auto code = EncodeEmbedding(values, 33);
    ASSERT_TRUE(code.ok());
    const std::vector<float> decoded = Decoded(*code);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float scale = HalfToFloat(code->scales[i / 33]);
      EXPECT_LE(std::fabs(values[i] - decoded[i]), scale * (0.5F + 127 * 0x1p-23F)) << i;
    }
  }
}

TEST(EmbeddingCode, UsesTheWholeRangeOfCodes) {
  const std::vector<float> values = {127.0F, -127.0F, 63.0F, 0.0F};
  const auto code = EncodeEmbedding(values, 4);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(HalfToFloat(code->scales[0]), 1.0F);
  EXPECT_THAT(code->codes, testing::ElementsAre(127, -127, 63, 0));
}

TEST(EmbeddingCode, KeepsAZeroRow) {
  const std::vector<float> values(5, 0.0F);
  const auto code = EncodeEmbedding(values, 5);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(code->scales[0], 0);
  EXPECT_THAT(Decoded(*code), testing::Each(0.0F));
}

TEST(EmbeddingCode, TakesNoRowsAndOneValue) {
  EXPECT_EQ(EncodeEmbedding({}, 3)->rows(), 0);
  const std::vector<float> one = {-2.5F};
  EXPECT_EQ(EncodeEmbedding(one, 1)->rows(), 1);
}

TEST(EmbeddingCode, NamesRowAndColumnOfAValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(12, 1.0F);
    values[7] = bad;
    const auto code = EncodeEmbedding(values, 4);
    EXPECT_EQ(code.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(code.status()), testing::HasSubstr("row 1, column 3"));
  }
}

TEST(EmbeddingCode, RejectsARowBeyondTheLargestHalfScale) {
  const std::vector<float> values = {1e9F};
  EXPECT_EQ(EncodeEmbedding(values, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EmbeddingCode, RejectsSizesThatDoNotFit) {
  const std::vector<float> values(7, 1.0F);
  EXPECT_FALSE(EncodeEmbedding(values, 4).ok());
  EXPECT_FALSE(EncodeEmbedding(values, 0).ok());
  const std::vector<std::int8_t> codes(8);
  const std::vector<std::uint16_t> scales(2);
  std::vector<float> out(8);
  EXPECT_TRUE(DecodeEmbedding(codes, scales, 4, out).ok());
  EXPECT_FALSE(DecodeEmbedding(codes, scales, 3, out).ok());
  EXPECT_FALSE(DecodeEmbedding(codes, scales, 0, out).ok());
  out.resize(7);
  EXPECT_FALSE(DecodeEmbedding(codes, scales, 4, out).ok());
}

}  // namespace
}  // namespace caldera::model
