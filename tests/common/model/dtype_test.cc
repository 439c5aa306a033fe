#include "common/model/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "common/model/stored_tensor.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::BytesOf;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Dtype, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << bits;
    } else {
      EXPECT_EQ(FloatToHalf(value), half) << bits;
    }
  }
}

TEST(Dtype, HalfRoundsToNearestAndTiesToEven) {
  for (std::uint16_t half = 0; half < 0x7BFF; ++half) {
    const auto next = static_cast<std::uint16_t>(half + 1);
    const float middle = (HalfToFloat(half) + HalfToFloat(next)) / 2;  // exact in float32
    ASSERT_EQ(FloatToHalf(middle), half % 2 == 0 ? half : next) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0F)), half) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, kInfinity)), next) << half;
    ASSERT_EQ(FloatToHalf(-middle), (half % 2 == 0 ? half : next) | 0x8000) << half;
  }
}

TEST(Dtype, HalfOverflowsToInfinityFrom65520On) {
  EXPECT_EQ(FloatToHalf(65519.996F), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7C00);
  EXPECT_EQ(FloatToHalf(-kInfinity), 0xFC00);
}

TEST(Dtype, HalfKnownValues) {
  EXPECT_EQ(HalfToFloat(0x3C00), 1.0F);
  EXPECT_EQ(HalfToFloat(0xC000), -2.0F);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24F);
  EXPECT_EQ(HalfToFloat(0x7BFF), 65504.0F);
  EXPECT_TRUE(std::signbit(HalfToFloat(0x8000)));
}

TEST(Dtype, BFloat16RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(FloatToBFloat16(1.0F), 0x3F80);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3F808000U)), 0x3F80);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3F818000U)), 0x3F82);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(FloatToBFloat16(std::numeric_limits<float>::max()), 0x7F80);
}

TEST(Dtype, BFloat16KeepsNaNs) {
  const float payload_in_low_bits = std::bit_cast<float>(0x7F800001U);
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(FloatToBFloat16(payload_in_low_bits))));
}

TEST(Dtype, NamesOfPlainTypesParseBack) {
  for (const Dtype dtype :
       {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kI64, Dtype::kI32, Dtype::kI16,
        Dtype::kI8, Dtype::kU64, Dtype::kU32, Dtype::kU16, Dtype::kU8, Dtype::kBool}) {
    EXPECT_EQ(*ParseSafetensorsDtype(DtypeName(dtype)), dtype);
  }
}

TEST(Dtype, ParseRejectsBlockTypesAndUnknownNames) {
  EXPECT_FALSE(ParseSafetensorsDtype("Q4_0").ok());
  EXPECT_FALSE(ParseSafetensorsDtype("F8_E4M3").ok());
  EXPECT_FALSE(ParseSafetensorsDtype("").ok());
}

TEST(Dtype, DecodesEveryPlainFloatType) {
  std::vector<float> out(2);
  ASSERT_TRUE(DecodeToFloat(Dtype::kF64, BytesOf(std::vector<double>{0.5, -3.0}), out).ok());
  EXPECT_EQ(out, (std::vector<float>{0.5F, -3.0F}));
  ASSERT_TRUE(DecodeToFloat(Dtype::kF32, BytesOf(std::vector<float>{1.5F, 2.0F}), out).ok());
  EXPECT_EQ(out, (std::vector<float>{1.5F, 2.0F}));
  const std::vector<std::uint16_t> halves = {0x3C00, 0xC000};
  ASSERT_TRUE(DecodeToFloat(Dtype::kF16, BytesOf(halves), out).ok());
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F}));
  const std::vector<std::uint16_t> brains = {0x3F80, 0xC000};
  ASSERT_TRUE(DecodeToFloat(Dtype::kBF16, BytesOf(brains), out).ok());
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F}));
}

TEST(Dtype, DecodesEveryNumberToFloat64) {
  std::vector<double> out(2);
  const auto decoded = [&out](Dtype dtype, const auto& values) {
    EXPECT_TRUE(DecodeToDouble(dtype, BytesOf(values), out).ok()) << DtypeName(dtype);
    return out;
  };
  const std::vector<double> expected = {1, -2};
  EXPECT_EQ(decoded(Dtype::kF64, expected), expected);
  EXPECT_EQ(decoded(Dtype::kF32, std::vector<float>{1, -2}), expected);
  EXPECT_EQ(decoded(Dtype::kF16, std::vector<std::uint16_t>{0x3C00, 0xC000}), expected);
  EXPECT_EQ(decoded(Dtype::kBF16, std::vector<std::uint16_t>{0x3F80, 0xC000}), expected);
  EXPECT_EQ(decoded(Dtype::kI64, std::vector<std::int64_t>{1, -2}), expected);
  EXPECT_EQ(decoded(Dtype::kI32, std::vector<std::int32_t>{1, -2}), expected);
  EXPECT_EQ(decoded(Dtype::kI16, std::vector<std::int16_t>{1, -2}), expected);
  EXPECT_EQ(decoded(Dtype::kI8, std::vector<std::int8_t>{1, -2}), expected);
  EXPECT_EQ(decoded(Dtype::kU64, std::vector<std::uint64_t>{1, 1ULL << 63}),
            (std::vector<double>{1, 0x1p63}));
  EXPECT_EQ(decoded(Dtype::kU32, std::vector<std::uint32_t>{1, 1U << 31}),
            (std::vector<double>{1, 0x1p31}));
  EXPECT_EQ(decoded(Dtype::kU16, std::vector<std::uint16_t>{1, 65535}),
            (std::vector<double>{1, 65535}));
  EXPECT_EQ(decoded(Dtype::kU8, std::vector<std::uint8_t>{1, 255}), (std::vector<double>{1, 255}));
  EXPECT_FALSE(DecodeToDouble(Dtype::kBool, BytesOf(std::vector<std::uint8_t>{1, 0}), out).ok());
  EXPECT_FALSE(DecodeToDouble(Dtype::kU8, BytesOf(std::vector<std::uint8_t>{1}), out).ok());
}

TEST(Dtype, DecodeAcceptsNothingAtAll) {
  EXPECT_TRUE(DecodeToFloat(Dtype::kF32, {}, {}).ok());
  EXPECT_TRUE(DecodeToFloat(Dtype::kQ4_K, {}, {}).ok());
}

TEST(Dtype, DecodeRejectsSizesThatDoNotMatch) {
  std::vector<float> out(32);
  EXPECT_FALSE(DecodeToFloat(Dtype::kF32, std::vector<std::byte>(127), out).ok());
  EXPECT_FALSE(DecodeToFloat(Dtype::kQ8_0, std::vector<std::byte>(33), out).ok());
  out.resize(31);
  EXPECT_FALSE(DecodeToFloat(Dtype::kQ8_0, std::vector<std::byte>(34), out).ok());
}

TEST(Dtype, DecodeRejectsTypesWithoutFloatValue) {
  std::vector<float> out(1);
  EXPECT_FALSE(DecodeToFloat(Dtype::kI32, std::vector<std::byte>(4), out).ok());
  EXPECT_FALSE(HasFloatValue(Dtype::kU8));
  EXPECT_TRUE(HasFloatValue(Dtype::kQ6_K));
}

TEST(TensorExtent, MultipliesShapeAndBlockSize) {
  EXPECT_EQ(ExtentOf(Dtype::kF32, {})->bytes, 4U);
  EXPECT_EQ(ExtentOf(Dtype::kF16, {3, 5})->bytes, 30U);
  EXPECT_EQ(ExtentOf(Dtype::kQ4_1, {3, 64})->bytes, 3U * 2 * 20);
  EXPECT_EQ(ExtentOf(Dtype::kF32, {7, 0})->elements, 0);
}

TEST(TensorExtent, RejectsOverflowNegativesAndPartialBlocks) {
  const std::int64_t big = std::int64_t{1} << 40;
  EXPECT_FALSE(ExtentOf(Dtype::kU8, {big, big}).ok());
  EXPECT_FALSE(ExtentOf(Dtype::kU8, {0, big, big}).ok());
  EXPECT_FALSE(ExtentOf(Dtype::kF64, {std::int64_t{1} << 61}).ok());
  EXPECT_FALSE(ExtentOf(Dtype::kF32, {-1}).ok());
  EXPECT_FALSE(ExtentOf(Dtype::kQ4_K, {2, 128}).ok());
}

}  // namespace
}  // namespace caldera::model
