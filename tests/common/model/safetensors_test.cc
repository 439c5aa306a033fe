#include "common/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/base/status.h"
#include "common/model/safetensors_writer.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::Bytes;
using testing::BytesOf;
using ::testing::HasSubstr;
using testing::Ramp;
using testing::SourceOf;

// A file with this header text (not padded) and that many bytes of data.
Bytes FileOf(const std::string& json, std::size_t data_bytes) {
  Bytes file = BytesOf(std::vector<std::uint64_t>{json.size()});
  const Bytes text = BytesOf(json);
  file.insert(file.end(), text.begin(), text.end());
  file.resize(file.size() + data_bytes);
  return file;
}

std::string Entry(const std::string& name, const std::string& shape, int begin, int end) {
  return "\"" + name + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::string ErrorOf(const std::string& json, std::size_t data_bytes) {
  return base::MessageOf(SafetensorsFile::Open(SourceOf(FileOf(json, data_bytes))).status());
}

Bytes SmallFile() {
  return *WriteSafetensors({{"format", "pt"}},
                           {{{"a", Dtype::kF32, {3, 2}}, BytesOf(Ramp(6, 0))},
                            {{"b", Dtype::kI8, {3}}, Bytes(3)},
                            {{"empty", Dtype::kF16, {0, 4}}, {}},
                            {{"scalar", Dtype::kF32, {}}, BytesOf(Ramp(1, 9))}});
}

TEST(Safetensors, ReadsRowsOfATensor) {
  const auto file = SafetensorsFile::Open(SourceOf(SmallFile()));
  ASSERT_TRUE(file.ok());
  std::vector<float> rows(4);
  ASSERT_TRUE((*file)->ReadRows("a", 1, 2, rows).ok());
  EXPECT_EQ(rows, Ramp(4, 2));
  EXPECT_TRUE((*file)->ReadRows("a", 3, 0, {}).ok());
  EXPECT_TRUE((*file)->ReadRows("empty", 0, 0, {}).ok());
  EXPECT_EQ(*(*file)->ReadAll("scalar"), Ramp(1, 9));
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
}

TEST(Safetensors, ReadsStoredBytesAndRangesOfThem) {
  const auto file = SafetensorsFile::Open(SourceOf(SmallFile()));
  EXPECT_EQ(*(*file)->ReadRaw("a"), BytesOf(Ramp(6, 0)));
  Bytes part(8);
  ASSERT_TRUE((*file)->ReadRawRange("a", 16, part).ok());
  EXPECT_EQ(part, BytesOf(Ramp(2, 4)));
  EXPECT_EQ((*file)->ReadRawRange("a", 17, part).code(), absl::StatusCode::kOutOfRange);
}

TEST(Safetensors, ReadRowsRefusesWhatIsNotThere) {
  const auto file = SafetensorsFile::Open(SourceOf(SmallFile()));
  std::vector<float> two(2);
  EXPECT_EQ((*file)->ReadRows("none", 0, 1, two).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*file)->ReadRows("a", 3, 1, two).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*file)->ReadRows("a", -1, 1, two).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*file)->ReadRows("a", 0, 2, two).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*file)->ReadRows("b", 0, 2, two).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Safetensors, RangesLargerThanOneChunkDecodeWhole) {
  const std::int64_t count = (std::int64_t{5} << 20) / 2 + 3;  // over 4 MiB of halves
  std::vector<std::uint16_t> halves;
  for (std::int64_t i = 0; i < count; ++i)
    halves.push_back(FloatToHalf(static_cast<float>(i % 997)));
  const auto file = SafetensorsFile::Open(
      SourceOf(*WriteSafetensors({}, {{{"h", Dtype::kF16, {count}}, BytesOf(halves)}})));
  const auto values = (*file)->ReadAll("h");
  ASSERT_TRUE(values.ok());
  for (std::int64_t i = 0; i < count; ++i) {
    ASSERT_EQ((*values)[static_cast<std::size_t>(i)], static_cast<float>(i % 997)) << i;
  }
}

TEST(Safetensors, AcceptsAHeaderWithoutTensors) {
  EXPECT_TRUE(SafetensorsFile::Open(SourceOf(FileOf("{}", 0))).ok());
  EXPECT_TRUE(SafetensorsFile::Open(SourceOf(FileOf("{}      ", 0))).ok());
}

TEST(Safetensors, RejectsAHeaderThatRunsPastTheFile) {
  Bytes file = FileOf("{}", 0);
  file[0] = std::byte{3};
  EXPECT_THAT(base::MessageOf(SafetensorsFile::Open(SourceOf(file)).status()),
              HasSubstr("runs past the end"));
  file[7] = std::byte{0xFF};
  EXPECT_FALSE(SafetensorsFile::Open(SourceOf(file)).ok());
}

TEST(Safetensors, RejectsAHeaderThatDoesNotStartWithABrace) {
  EXPECT_THAT(ErrorOf(" {}", 0), HasSubstr("does not start with"));
}

TEST(Safetensors, RejectsHolesOverlapsAndLeftOverBytes) {
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[1]", 4, 8) + "}", 8), HasSubstr("begins at 4"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[2]", 0, 8) + "," + Entry("b", "[1]", 4, 8) + "}", 8),
              HasSubstr("tensor b: data begins at 4, expected 8"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[1]", 0, 4) + "}", 5), HasSubstr("cover 4 bytes of 5"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[2]", 0, 8) + "}", 7), HasSubstr("ends at 8"));
}

TEST(Safetensors, RejectsShapesThatDisagreeWithTheBytes) {
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[3]", 0, 8) + "}", 8), HasSubstr("ask for 12"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[4611686018427387904,4]", 0, 0) + "}", 0),
              HasSubstr("overflows"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[-2]", 0, 8) + "}", 8), HasSubstr("negative"));
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[2]", 8, 0) + "}", 8), HasSubstr("no range"));
}

TEST(Safetensors, RejectsDuplicateNamesAndUnknownDtypes) {
  EXPECT_THAT(ErrorOf("{" + Entry("a", "[0]", 0, 0) + "," + Entry("a", "[0]", 0, 0) + "}", 0),
              HasSubstr("occurs twice"));
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor a: unknown dtype"));
  EXPECT_FALSE(ErrorOf(R"({"__metadata__":{"k":1}})", 0).empty());
}

TEST(Safetensors, EveryPrefixIsRejected) {
  const Bytes file = SmallFile();
  for (std::size_t length = 0; length < file.size(); ++length) {
    const auto opened = SafetensorsFile::Open(
        SourceOf(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length))));
    EXPECT_FALSE(opened.ok()) << length;
  }
}

TEST(Safetensors, FlippedBitsAreRejectedOrReadWithoutHarm) {
  const Bytes file = SmallFile();
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto opened = SafetensorsFile::Open(SourceOf(flipped));
    if (!opened.ok()) continue;
    for (const TensorInfo& info : (*opened)->tensors()) {
      EXPECT_TRUE((*opened)->ReadRaw(info.name).ok()) << bit;
    }
  }
}

TEST(SafetensorsWriter, IsDeterministicAndPaddedToEight) {
  const Bytes file = SmallFile();
  EXPECT_EQ(file, SmallFile());
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0U);
}

TEST(SafetensorsWriter, AlignsEveryTensorToItsElementSize) {
  const auto file = WriteSafetensors({}, {{{"a", Dtype::kU8, {3}}, Bytes(3)},
                                          {{"b", Dtype::kF32, {1}}, Bytes(4)},
                                          {{"c", Dtype::kF16, {1}}, Bytes(2)},
                                          {{"d", Dtype::kF64, {1}}, Bytes(8)}});
  const auto json = ReadSafetensorsHeaderText(*SourceOf(*file));
  const auto header = ParseSafetensorsHeader(*json, file->size(), "file");
  ASSERT_TRUE(header.ok());
  for (std::size_t i = 0; i < header->tensors.size(); ++i) {
    EXPECT_EQ(header->offsets[i] % static_cast<std::uint64_t>(BlockBytes(header->tensors[i].dtype)),
              0U);
  }
}

TEST(SafetensorsWriter, StreamsATensorInPieces) {
  Bytes file;
  auto writer = SafetensorsWriter::Start(
      {}, {{"b", Dtype::kF32, {2}}, {"a", Dtype::kF32, {1}}, {"z", Dtype::kF32, {0}}},
      [&file](std::span<const std::byte> bytes) {
        file.insert(file.end(), bytes.begin(), bytes.end());
        return absl::OkStatus();
      });
  ASSERT_TRUE(writer.ok());
  const Bytes values = BytesOf(Ramp(3, 5));
  const std::span<const std::byte> all(values);
  EXPECT_TRUE(writer->Append("a", all.subspan(0, 4)).ok());
  EXPECT_TRUE(writer->Append("b", all.subspan(4, 3)).ok());
  EXPECT_FALSE(writer->Finish().ok());
  EXPECT_TRUE(writer->Append("b", all.subspan(7, 5)).ok());
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(file.size(), writer->file_bytes());
  const auto opened = SafetensorsFile::Open(SourceOf(file));
  EXPECT_EQ(*(*opened)->ReadAll("b"), Ramp(2, 6));
}

TEST(SafetensorsWriter, RejectsWrongOrderAndTooManyBytes) {
  auto writer =
      SafetensorsWriter::Start({}, {{"a", Dtype::kU8, {1}}, {"b", Dtype::kU8, {1}}},
                               [](std::span<const std::byte>) { return absl::OkStatus(); });
  ASSERT_TRUE(writer.ok());
  const Bytes two(2);
  EXPECT_FALSE(writer->Append("b", std::span(two).first(1)).ok());
  EXPECT_FALSE(writer->Append("a", two).ok());
}

TEST(SafetensorsWriter, RejectsBadDeclarations) {
  EXPECT_FALSE(WriteSafetensors({}, {{{"", Dtype::kU8, {0}}, {}}}).ok());
  EXPECT_FALSE(WriteSafetensors({}, {{{"__metadata__", Dtype::kU8, {0}}, {}}}).ok());
  EXPECT_FALSE(WriteSafetensors({}, {{{"a", Dtype::kQ4_0, {32}}, Bytes(18)}}).ok());
  EXPECT_FALSE(WriteSafetensors({}, {{{"a", Dtype::kU8, {-1}}, {}}}).ok());
  EXPECT_FALSE(
      WriteSafetensors({}, {{{"a", Dtype::kU8, {0}}, {}}, {{"a", Dtype::kU8, {0}}, {}}}).ok());
  EXPECT_FALSE(WriteSafetensors({{"k", "\xFF"}}, {}).ok());
}

TEST(SafetensorsWriter, PassesTheErrorOfItsSinkOn) {
  const auto writer = SafetensorsWriter::Start(
      {}, {}, [](std::span<const std::byte>) { return base::ResourceExhausted("disk full"); });
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace caldera::model
