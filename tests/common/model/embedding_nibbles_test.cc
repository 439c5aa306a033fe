#include "common/model/embedding_nibbles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include "common/base/status.h"
#include "common/model/dtype.h"

namespace caldera::model {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint16_t kOne = 0x3c00;  // the half 1

std::vector<float> Random(std::size_t count, float spread, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

NibbleColumns PlanOf(const std::vector<float>& values, std::int64_t columns,
                     const std::vector<float>& importance = {}) {
  ColumnPowers powers(columns);
  EXPECT_TRUE(powers.Add(values).ok());
  const auto plan = powers.Plan(importance);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

NibbleColumns Ones(std::size_t columns) {
  return {std::vector<std::uint16_t>(columns, kOne), std::vector<float>(columns, 1.0F)};
}

std::vector<float> Decoded(const NibbleCode& code, const std::vector<std::uint16_t>& columns) {
  std::vector<float> scales;
  for (const std::uint16_t scale : columns) scales.push_back(HalfToFloat(scale));
  const std::size_t rows =
      code.scales.size() /
      static_cast<std::size_t>(NibbleScales(static_cast<std::int64_t>(columns.size())));
  std::vector<float> values(rows * columns.size());
  EXPECT_TRUE(DecodeNibbles(code.codes, code.scales, scales, values).ok());
  return values;
}

// Squared error over squared values, with a weight for each column.
double Error(const std::vector<float>& values, const std::vector<float>& decoded,
             const std::vector<double>& weights) {
  double error = 0;
  double power = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double weight = weights[i % weights.size()];
    error += weight * std::pow(double{values[i]} - decoded[i], 2);
    power += weight * std::pow(double{values[i]}, 2);
  }
  return error / power;
}

double ErrorOfRoundTrip(const std::vector<float>& values, std::int64_t columns) {
  const NibbleColumns plan = PlanOf(values, columns);
  const auto code = EncodeNibbles(values, plan);
  EXPECT_TRUE(code.ok()) << code.status();
  return Error(values, Decoded(*code, plan.scales), {1.0});
}

TEST(EmbeddingNibbles, HasTheErrorOfAnOptimalScalarQuantiserOrLess) {
  // .0095 is that of the Lloyd-Max quantiser with one scale for all; a scale for each group is
  // better. The third spread makes scales subnormal halves.
  for (const float spread : {1e4F, 1.0F, 0.02F, 1e-6F}) {
    EXPECT_LT(ErrorOfRoundTrip(Random(128 * 96, spread, 1), 96), 0.0065) << spread;
  }
}

TEST(EmbeddingNibbles, TakesWidthsThatAreNoWholeGroupsOrBytes) {
  for (const std::int64_t columns : {1, 2, 31, 32, 33, 63, 65}) {
    EXPECT_LT(ErrorOfRoundTrip(Random(static_cast<std::size_t>(256 * columns), 1, 2), columns),
              0.0075)
        << columns;
  }
}

TEST(EmbeddingNibbles, PacksEvenColumnsLowAndSignsInBitThree) {
  // The levels themselves, so the best scale is 1.
  std::vector<float> values;
  for (const float level : kNibbleLevels) values.push_back(level);
  for (const float level : kNibbleLevels) values.push_back(-level);
  values.push_back(kNibbleLevels[7]);
  const auto code = EncodeNibbles(values, Ones(17));
  ASSERT_TRUE(code.ok());
  EXPECT_THAT(code->scales, ElementsAre(kOne));
  EXPECT_THAT(code->codes, ElementsAre(0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 0x07));
  EXPECT_EQ(Decoded(*code, Ones(17).scales), values);
}

TEST(EmbeddingNibbles, ADecodedValueIsTheExactProductRoundedOnce) {
  std::mt19937 generator(3);
  constexpr std::size_t kColumns = 40;
  std::vector<float> column_scales(kColumns);
  for (float& scale : column_scales) {
    scale = HalfToFloat(static_cast<std::uint16_t>(generator() % 0x7c00));
  }
  std::vector<std::uint8_t> codes(50 * kColumns / 2);
  for (auto& code : codes) code = static_cast<std::uint8_t>(generator());
  std::vector<std::uint16_t> scales(100);
  for (auto& scale : scales) scale = static_cast<std::uint16_t>(generator() % 0x7c00);
  std::vector<float> out(50 * kColumns);
  ASSERT_TRUE(DecodeNibbles(codes, scales, column_scales, out).ok());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned code = codes[i / 2] >> (4 * (i % 2)) & 15U;
    const double level = kNibbleLevels[code & 7U] * (code < 8 ? 1.0 : -1.0);
    const std::size_t j = i % kColumns;
    const double product = level * HalfToFloat(scales[i / kColumns * 2 + j / 32]) *
                           column_scales[j];  // 30 bits: exact
    ASSERT_EQ(out[i], static_cast<float>(product)) << i;
  }
}

TEST(EmbeddingNibbles, KeepsALargeColumnFromSpoilingItsGroup) {
  std::vector<float> values = Random(128 * 64, 0.1F, 4);
  for (std::size_t i = 5; i < values.size(); i += 64) values[i] *= 20;
  const auto plain = EncodeNibbles(values, Ones(64));
  ASSERT_TRUE(plain.ok());
  const double without = Error(values, Decoded(*plain, Ones(64).scales), {1.0});
  EXPECT_LT(ErrorOfRoundTrip(values, 64), without / 2);
}

TEST(EmbeddingNibbles, SpendsItsErrorWhereColumnsMatterLeast) {
  const std::vector<float> values = Random(128 * 64, 1, 5);
  std::vector<float> importance(64, 1);
  for (std::size_t j = 0; j < 8; ++j) importance[j] = -8;
  std::vector<double> weights;
  for (const float factor : importance) weights.push_back(double{factor} * factor);
  const NibbleColumns plan = PlanOf(values, 64, importance);
  const auto code = EncodeNibbles(values, plan);
  ASSERT_TRUE(code.ok());
  EXPECT_LT(Error(values, Decoded(*code, plan.scales), weights),
            ErrorOfRoundTrip(values, 64) * 0.75);
}

TEST(EmbeddingNibbles, KeepsZeros) {
  std::vector<float> values = Random(3 * 64, 1, 6);
  for (std::size_t i = 64; i < 96; ++i) values[i] = 0;                // a group
  for (std::size_t i = 7; i < values.size(); i += 64) values[i] = 0;  // a column
  const NibbleColumns plan = PlanOf(values, 64, std::vector<float>(64, 0.0F));
  EXPECT_EQ(plan.scales[7], 0);
  const auto code = EncodeNibbles(values, plan);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(code->scales[2], 0);
  EXPECT_THAT(std::vector<std::uint8_t>(code->codes.begin() + 32, code->codes.begin() + 48),
              Each(0));
  const std::vector<float> decoded = Decoded(*code, plan.scales);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) {
      EXPECT_EQ(decoded[i], 0) << i;
    }
  }
  EXPECT_LT(Error(values, decoded, {1.0}), 0.01);
}

TEST(EmbeddingNibbles, CodesRowsAloneAsTogether) {
  const std::vector<float> values = Random(4 * 50, 1, 7);
  const NibbleColumns plan = PlanOf(values, 50);
  const auto together = EncodeNibbles(values, plan);
  ASSERT_TRUE(together.ok());
  NibbleCode alone;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto row = EncodeNibbles(std::span(values).subspan(i * 50, 50), plan);
    ASSERT_TRUE(row.ok());
    alone.codes.insert(alone.codes.end(), row->codes.begin(), row->codes.end());
    alone.scales.insert(alone.scales.end(), row->scales.begin(), row->scales.end());
  }
  EXPECT_EQ(alone.codes, together->codes);
  EXPECT_EQ(alone.scales, together->scales);
}

TEST(EmbeddingNibbles, NamesRowAndColumnOfAValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    ColumnPowers powers(4);
    ASSERT_TRUE(powers.Add(std::vector<float>(12, 1.0F)).ok());
    std::vector<float> values(12, 1.0F);
    values[7] = bad;
    const absl::Status status = powers.Add(values);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(status), HasSubstr("row 4, column 3"));
    EXPECT_THAT(base::MessageOf(powers.Plan(std::vector<float>{1, 1, bad, 1}).status()),
                HasSubstr("column 2"));
  }
}

TEST(EmbeddingNibbles, NamesWhatIsTooLargeForAHalfScale) {
  ColumnPowers powers(2);
  ASSERT_TRUE(powers.Add(std::vector<float>{1, 1e12F}).ok());
  EXPECT_THAT(base::MessageOf(powers.Plan({}).status()), HasSubstr("column 1"));
  std::vector<float> values(80, 1.0F);
  values[77] = 1e6F;
  EXPECT_THAT(base::MessageOf(EncodeNibbles(values, Ones(40)).status()),
              HasSubstr("row 1, columns 32 to 39"));
}

TEST(EmbeddingNibbles, RejectsSizesThatDoNotFit) {
  const std::vector<float> values(7, 1.0F);
  EXPECT_FALSE(ColumnPowers(4).Add(values).ok());
  EXPECT_FALSE(ColumnPowers(0).Add(values).ok());
  EXPECT_FALSE(ColumnPowers(4).Plan(values).ok());
  EXPECT_FALSE(EncodeNibbles(values, Ones(4)).ok());
  EXPECT_FALSE(EncodeNibbles(values, {}).ok());
  EXPECT_FALSE(EncodeNibbles(values, {std::vector<std::uint16_t>(7, kOne), {}}).ok());
  const std::vector<std::uint8_t> codes(2 * 17);
  const std::vector<std::uint16_t> scales(2 * 2);
  const std::vector<float> columns(33, 1.0F);
  std::vector<float> out(2 * 33);
  EXPECT_TRUE(DecodeNibbles(codes, scales, columns, out).ok());
  EXPECT_FALSE(DecodeNibbles(std::span(codes).subspan(1), scales, columns, out).ok());
  EXPECT_FALSE(DecodeNibbles(codes, std::span(scales).subspan(1), columns, out).ok());
  EXPECT_FALSE(DecodeNibbles(codes, scales, std::span(columns).subspan(1), out).ok());
  EXPECT_FALSE(DecodeNibbles(codes, scales, {}, out).ok());
  out.pop_back();
  EXPECT_FALSE(DecodeNibbles(codes, scales, columns, out).ok());
}

}  // namespace
}  // namespace caldera::model
