#include "common/model/embedding_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/embedding_code.h"
#include "common/model/embedding_nibbles.h"
#include "common/model/local_files.h"
#include "common/model/model_tensors.h"
#include "common/model/safetensors.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::BytesOf;
using ::testing::HasSubstr;

constexpr char kStem[] = "model.embed_tokens";
constexpr EmbeddingHeader kHeader{6, 37, base::Bits{4}};  // an odd width, two groups

std::vector<float> Values() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> values(6 * 37);
  for (float& value : values) value = normal(generator);
  return values;
}

// Tensors of a table of 4 bits; `plan` and `code` are what they were made of.
struct Nibbles {
  NibbleColumns plan;
  NibbleCode code;
  std::vector<SafetensorsTensor> tensors;
};

Nibbles MakeNibbles() {
  Nibbles table;
  ColumnPowers powers(kHeader.columns);
  EXPECT_TRUE(powers.Add(Values()).ok());
  table.plan = *powers.Plan({});
  table.code = *EncodeNibbles(Values(), table.plan);
  const auto declarations = EmbeddingTensors(kHeader, kStem);
  table.tensors = {{declarations[0], BytesOf(table.code.codes)},
                   {declarations[1], BytesOf(table.code.scales)},
                   {declarations[2], BytesOf(table.plan.scales)}};
  return table;
}

std::unique_ptr<SafetensorsFile> Stored(const std::vector<SafetensorsTensor>& tensors) {
  auto file = SafetensorsFile::Open(testing::SourceOf(*WriteSafetensors({}, tensors), "shard"));
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

absl::Status ReadAll(const TensorSource& source, const EmbeddingHeader& header) {
  const auto table = EmbeddingTable::Read(source, kStem, header);
  if (!table.ok()) return table.status();
  std::vector<float> values(static_cast<std::size_t>(header.rows * header.columns));
  return table->DecodeRows(0, values);
}

TEST(EmbeddingTable, DecodesFourBitsWholeAndByRows) {
  const Nibbles made = MakeNibbles();
  std::vector<float> column_scales;
  for (const std::uint16_t scale : made.plan.scales) column_scales.push_back(HalfToFloat(scale));
  std::vector<float> expected(6 * 37);
  ASSERT_TRUE(DecodeNibbles(made.code.codes, made.code.scales, column_scales, expected).ok());
  const auto table = EmbeddingTable::Read(*Stored(made.tensors), kStem, kHeader);
  ASSERT_TRUE(table.ok()) << table.status();
  std::vector<float> whole(6 * 37);
  ASSERT_TRUE(table->DecodeRows(0, whole).ok());
  EXPECT_EQ(whole, expected);
  for (std::size_t row = 0; row < 6; ++row) {
    std::vector<float> one(37);
    ASSERT_TRUE(table->DecodeRows(static_cast<std::int64_t>(row), one).ok());
    EXPECT_TRUE(std::equal(one.begin(), one.end(),
                           expected.begin() + static_cast<std::ptrdiff_t>(37 * row)))
        << row;
  }
}

TEST(EmbeddingTable, DecodesEightBits) {
  const EmbeddingHeader header{6, 37, base::Bits{8}};
  const EmbeddingCode code = *EncodeEmbedding(Values(), 37);
  const auto declarations = EmbeddingTensors(header, kStem);
  const auto file =
      Stored({{declarations[0], BytesOf(code.codes)}, {declarations[1], BytesOf(code.scales)}});
  const auto table = EmbeddingTable::Read(*file, kStem, header);
  ASSERT_TRUE(table.ok()) << table.status();
  std::vector<float> expected(6 * 37);
  ASSERT_TRUE(DecodeEmbedding(code.codes, code.scales, 37, expected).ok());
  std::vector<float> rows(2 * 37);
  ASSERT_TRUE(table->DecodeRows(3, rows).ok());
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), expected.begin() + 3 * 37));
}

TEST(EmbeddingTable, RefusesRowsThatItHasNot) {
  const auto table = EmbeddingTable::Read(*Stored(MakeNibbles().tensors), kStem, kHeader);
  ASSERT_TRUE(table.ok());
  std::vector<float> row(37);
  for (const std::int64_t first : {std::int64_t{-1}, std::int64_t{6}, std::int64_t{1} << 62}) {
    EXPECT_EQ(table->DecodeRows(first, row).code(), absl::StatusCode::kInvalidArgument);
  }
  row.pop_back();
  EXPECT_EQ(table->DecodeRows(0, row).code(), absl::StatusCode::kInvalidArgument);
}

TEST(EmbeddingTable, NamesAMissingTensorAndOneOfAnotherShape) {
  for (std::size_t i = 0; i < 3; ++i) {
    auto tensors = MakeNibbles().tensors;
    const std::string name = tensors[i].declaration.name;
    tensors[i].declaration.shape.push_back(1);
    const absl::Status misshapen = ReadAll(*Stored(tensors), kHeader);
    EXPECT_EQ(misshapen.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(base::MessageOf(misshapen), HasSubstr("shard: " + name));
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const absl::Status missing = ReadAll(*Stored(tensors), kHeader);
    EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(base::MessageOf(missing), HasSubstr(name));
  }
}

TEST(EmbeddingTable, NamesTheTensorOfABadScaleOrPadding) {
  for (const std::uint16_t bad : std::vector<std::uint16_t>{0x7c00, 0x7e00, 0x8001, 0xbc00}) {
    for (const std::size_t i : {1U, 2U}) {
      auto tensors = MakeNibbles().tensors;
      std::memcpy(tensors[i].bytes.data() + 4, &bad, sizeof(bad));
      const absl::Status status = ReadAll(*Stored(tensors), kHeader);
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bad;
      EXPECT_THAT(base::MessageOf(status), HasSubstr(tensors[i].declaration.name));
    }
  }
  auto tensors = MakeNibbles().tensors;
  tensors[0].bytes[18] |= std::byte{0x10};  // behind column 36 of row 0
  const absl::Status status = ReadAll(*Stored(tensors), kHeader);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(base::MessageOf(status), HasSubstr("model.embed_tokens.codes"));
}

TEST(EmbeddingTable, RejectsEveryTruncatedShard) {
  const std::vector<std::byte> bytes = *WriteSafetensors({}, MakeNibbles().tensors);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    auto file = SafetensorsFile::Open(
        testing::SourceOf({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)}));
    EXPECT_FALSE(file.ok() && ReadAll(**file, kHeader).ok()) << length;
  }
}

TEST(EmbeddingTable, WritesTheHeaderWithSortedKeys) {
  const std::string json = EmbeddingHeaderToJson(kHeader);
  EXPECT_EQ(json, R"({"bits":4,"columns":37,"format":"caldera.embedding.v1","rows":6})");
  EXPECT_EQ(*ParseEmbeddingHeader(json, "e"), kHeader);
}

TEST(EmbeddingTable, RefusesAnotherFormatOrNumberOfBits) {
  const std::string good = EmbeddingHeaderToJson(kHeader);
  for (const auto& [from, to] :
       {std::pair("embedding.v1", "embedding.v2"), std::pair(R"("bits":4)", R"("bits":5)"),
        std::pair(R"("bits":4)", R"("bits":8)")}) {
    std::string changed = good;
    changed.replace(changed.find(from), std::string(from).size(), to);
    const absl::Status status = ParseEmbeddingHeader(changed, "shard: lm_head").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << changed;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("shard: lm_head"));
  }
}

TEST(EmbeddingTable, RejectsEveryPrefixAndChangedBitOfAHeaderThatIsNotOne) {
  const std::string good = EmbeddingHeaderToJson(kHeader);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseEmbeddingHeader(good.substr(0, length), "e").ok());
  }
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const auto parsed = ParseEmbeddingHeader(changed, "e");
    if (parsed.ok()) {
      EXPECT_EQ(EmbeddingHeaderToJson(*parsed), changed);
    }
  }
  for (const char* size : {"-1", "1073741825", "1.5", "\"6\""}) {
    std::string changed = good;
    changed.replace(changed.find(":6}") + 1, 1, size);
    EXPECT_EQ(ParseEmbeddingHeader(changed, "e").status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(EmbeddingTable, CountsTheBytesOfAModel) {
  ModelConfig config;
  config.vocab_size = 1000;
  config.hidden_size = 72;
  config.tie_word_embeddings = true;
  EXPECT_EQ(EmbeddingBytes(config, base::Bits{16}), 1000U * 72 * 2);
  EXPECT_EQ(EmbeddingBytes(config, base::Bits{8}), 1000U * (72 + 2));
  EXPECT_EQ(EmbeddingBytes(config, base::Bits{4}), 1000U * (36 + 3 * 2) + 72 * 2);
  config.tie_word_embeddings = false;
  EXPECT_EQ(EmbeddingBytes(config, base::Bits{4}), 2 * (1000U * (36 + 3 * 2) + 72 * 2));
}

}  // namespace
}  // namespace caldera::model
