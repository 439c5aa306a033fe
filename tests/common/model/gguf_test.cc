#include "common/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::Bytes;
using testing::BytesOf;
using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::Ramp;
using testing::SourceOf;

std::string ErrorOf(const Bytes& file) {
  return base::MessageOf(GgufFile::Open(SourceOf(file)).status());
}

GgufBytes EveryValueType() {
  GgufBytes gguf;
  gguf.Value<std::uint8_t>("u8", 0, 200).Value<std::int8_t>("i8", 1, -5);
  gguf.Value<std::uint16_t>("u16", 2, 60000).Value<std::int16_t>("i16", 3, -300);
  gguf.Value<std::uint32_t>("u32", 4, 4000000000U).Value<std::int32_t>("i32", 5, -70000);
  gguf.Value<float>("f32", 6, 0.5F).Value<std::uint8_t>("bool", 7, 1).Text("text", "hello");
  gguf.Value<std::uint64_t>("u64", 10, 1).Value<std::int64_t>("i64", 11, -1);
  gguf.Value<double>("f64", 12, 0.25).Texts("texts", {"a", "", "b"});
  gguf.Array<std::int32_t>("list", 5, {3, -4}).Array<float>("floats", 6, {1.5F});
  gguf.Floats("m", {3, 2}, Ramp(6, 0)).Floats("v", {5}, Ramp(5, 10));
  return gguf;
}

TEST(Gguf, ReadsEveryTypeOfValue) {
  const auto file = GgufFile::Open(SourceOf(EveryValueType().Finish()));
  ASSERT_TRUE(file.ok());
  const GgufMetadata& values = (*file)->metadata();
  EXPECT_EQ(*values.Get<std::int64_t>("u8"), 200);
  EXPECT_EQ(*values.Get<std::int64_t>("i8"), -5);
  EXPECT_EQ(*values.Get<std::int64_t>("u16"), 60000);
  EXPECT_EQ(*values.Get<std::int64_t>("i16"), -300);
  EXPECT_EQ(*values.Get<std::int64_t>("u32"), 4000000000);
  EXPECT_EQ(*values.Get<std::int64_t>("i32"), -70000);
  EXPECT_EQ(*values.Get<double>("f32"), 0.5);
  EXPECT_EQ(*values.Get<bool>("bool"), true);
  EXPECT_EQ(*values.Get<std::string>("text"), "hello");
  EXPECT_EQ(*values.Get<std::int64_t>("u64"), 1);
  EXPECT_EQ(*values.Get<std::int64_t>("i64"), -1);
  EXPECT_EQ(*values.Get<double>("f64"), 0.25);
  EXPECT_THAT(*values.Get<std::vector<std::string>>("texts"), ElementsAre("a", "", "b"));
  EXPECT_THAT(*values.Get<std::vector<std::int64_t>>("list"), ElementsAre(3, -4));
  EXPECT_THAT(*values.Get<std::vector<double>>("floats"), ElementsAre(1.5));
}

TEST(Gguf, MetadataErrorsNameFileAndKey) {
  const auto file = GgufFile::Open(SourceOf(EveryValueType().Finish()));
  const GgufMetadata& values = (*file)->metadata();
  EXPECT_EQ(base::MessageOf(values.Get<bool>("none").status()), "file: no metadata key \"none\"");
  EXPECT_EQ(base::MessageOf(values.Find<bool>("text").status()),
            "file: metadata key \"text\" is not a bool");
  EXPECT_FALSE(values.Find<bool>("none")->has_value());
  EXPECT_EQ(*values.Get<double>("u8"), 200.0);
}

TEST(Gguf, ReadsTensorsOutermostDimensionFirst) {
  const auto file = GgufFile::Open(SourceOf(EveryValueType().Finish()));
  ASSERT_TRUE(file.ok());
  EXPECT_THAT((*file)->Find("m")->shape, ElementsAre(3, 2));
  std::vector<float> rows(4);
  ASSERT_TRUE((*file)->ReadRows("m", 1, 2, rows).ok());
  EXPECT_EQ(rows, Ramp(4, 2));
  EXPECT_EQ(*(*file)->ReadAll("v"), Ramp(5, 10));
  EXPECT_EQ(*(*file)->ReadRaw("v"), BytesOf(Ramp(5, 10)));
  EXPECT_EQ((*file)->ReadRaw("w").status().code(), absl::StatusCode::kNotFound);
}

TEST(Gguf, PartsOfAOneDimensionalBlockTensorCanBeRead) {
  Bytes block(2 * 34);
  for (std::size_t i = 0; i < 2; ++i) {
    block[34 * i + 1] = std::byte{0x3C};  // d = 1
    for (std::size_t j = 0; j < 32; ++j) block[34 * i + 2 + j] = static_cast<std::byte>(32 * i + j);
  }
  const auto file = GgufFile::Open(SourceOf(GgufBytes().Tensor("q", {64}, 8, block).Finish()));
  ASSERT_TRUE(file.ok());
  std::vector<float> part(40);
  ASSERT_TRUE((*file)->ReadRows("q", 20, 40, part).ok());
  EXPECT_EQ(part, Ramp(40, 20));
}

TEST(Gguf, ReadsVersionTwoAndNoOther) {
  EXPECT_TRUE(GgufFile::Open(SourceOf(GgufBytes(2).Floats("a", {1}, {1.0F}).Finish())).ok());
  EXPECT_THAT(ErrorOf(GgufBytes(1).Finish()), HasSubstr("version 1"));
  EXPECT_THAT(ErrorOf(GgufBytes(0x03000000).Finish()), HasSubstr("version"));
  EXPECT_THAT(ErrorOf(BytesOf(std::string(64, 'x'))), HasSubstr("no GGUF file"));
}

TEST(Gguf, NamesTensorAndTypeThatItCannotRead) {
  EXPECT_THAT(ErrorOf(GgufBytes().Tensor("t", {256}, 13, Bytes(176)).Finish()),
              HasSubstr("tensor t: type Q5_K is not supported"));
  EXPECT_THAT(ErrorOf(GgufBytes().Tensor("t", {256}, 99, Bytes(176)).Finish()),
              HasSubstr("tensor t: unknown type 99"));
}

TEST(Gguf, RejectsDuplicates) {
  EXPECT_THAT(ErrorOf(GgufBytes().U32("k", 1).U32("k", 2).Finish()),
              HasSubstr("\"k\" occurs twice"));
  EXPECT_THAT(ErrorOf(GgufBytes().Floats("t", {1}, {0}).Floats("t", {1}, {0}).Finish()),
              HasSubstr("tensor t occurs twice"));
}

TEST(Gguf, RejectsTensorsInWrongPlaces) {
  const Bytes data(64);
  EXPECT_THAT(ErrorOf(GgufBytes().TensorAt("t", {1}, 0, 4, data).Finish()), HasSubstr("aligned"));
  EXPECT_THAT(ErrorOf(GgufBytes().TensorAt("t", {1}, 0, 64, data).Finish()),
              HasSubstr("past the end"));
  EXPECT_THAT(
      ErrorOf(GgufBytes().TensorAt("t", {9}, 0, 0, data).TensorAt("u", {1}, 0, 32, {}).Finish()),
      HasSubstr("overlaps"));
  EXPECT_THAT(ErrorOf(GgufBytes().U32("general.alignment", 12).Finish()), HasSubstr("alignment"));
}

TEST(Gguf, RejectsShapesThatAreNone) {
  const std::uint64_t big = std::uint64_t{1} << 62;
  EXPECT_FALSE(ErrorOf(GgufBytes().Tensor("t", {big, 4}, 0, {}).Finish()).empty());
  EXPECT_FALSE(ErrorOf(GgufBytes().Tensor("t", {~std::uint64_t{0}}, 0, {}).Finish()).empty());
  EXPECT_FALSE(ErrorOf(GgufBytes().Tensor("t", {0}, 0, {}).Finish()).empty());
  EXPECT_FALSE(ErrorOf(GgufBytes().Tensor("t", {1, 1, 1, 1, 1}, 0, Bytes(4)).Finish()).empty());
  EXPECT_THAT(ErrorOf(GgufBytes().Tensor("t", {2, 16}, 2, Bytes(18)).Finish()),
              HasSubstr("no whole blocks"));
}

TEST(Gguf, RejectsCountsAndLengthsBeyondTheFile) {
  for (const std::size_t at : {std::size_t{8}, std::size_t{16}, std::size_t{24}}) {
    Bytes file = EveryValueType().Finish();  // tensor count, value count, length of the first key
    file[at + 6] = std::byte{1};
    EXPECT_THAT(ErrorOf(file), HasSubstr("past the end")) << at;
  }
}

TEST(Gguf, RejectsValuesOutsideTheirDomain) {
  EXPECT_FALSE(ErrorOf(GgufBytes().Value<std::uint8_t>("b", 7, 2).Finish()).empty());
  EXPECT_FALSE(
      ErrorOf(GgufBytes().Value<std::uint64_t>("u", 10, ~std::uint64_t{0}).Finish()).empty());
  EXPECT_FALSE(ErrorOf(GgufBytes().Value<std::uint8_t>("x", 13, 0).Finish()).empty());
  EXPECT_FALSE(ErrorOf(GgufBytes().Array<std::uint64_t>("x", 9, {0, 0}).Finish()).empty());
}

TEST(Gguf, EveryPrefixIsRejected) {
  const Bytes file = EveryValueType().Finish();
  for (std::size_t length = 0; length < file.size(); ++length) {
    const Bytes prefix(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(GgufFile::Open(SourceOf(prefix)).ok()) << length;
  }
}

TEST(Gguf, FlippedBitsAreRejectedOrReadWithoutHarm) {
  const Bytes file = EveryValueType().Finish();
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto opened = GgufFile::Open(SourceOf(flipped));
    if (!opened.ok()) continue;
    for (const TensorInfo& info : (*opened)->tensors()) {
      EXPECT_TRUE((*opened)->ReadRaw(info.name).ok()) << bit;
    }
  }
}

}  // namespace
}  // namespace caldera::model
