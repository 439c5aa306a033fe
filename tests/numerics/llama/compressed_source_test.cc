#include "numerics/llama/compressed_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "common/model/embedding_code.h"
#include "common/model/embedding_nibbles.h"
#include "common/model/embedding_table.h"
#include "common/model/hf_model.h"
#include "common/model/local_files.h"
#include "common/model/safetensors_writer.h"
#include "numerics/decompose/linear_map.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using model::CompressedMatrix;
using testing::HasSubstr;

constexpr char kPrefix[] = "model.layers.0.mlp.up_proj";

// 24 x 16 with rank 3: random codes, which are all valid.
CompressedMatrix RandomCompressed() {
  CompressedMatrix matrix;
  matrix.header.rows = 24;
  matrix.header.columns = 16;
  matrix.header.rank = 3;
  matrix.header.l_bits = base::Bits{16};
  matrix.header.r_bits = base::Bits{16};
  matrix.header.input_block = 16;
  matrix.header.output_block = 8;
  matrix.q_scale = {0.5F};
  std::mt19937 generator(3);
  for (int i = 0; i < 3 * 16; ++i) matrix.q_codes.push_back(generator() & 0xffff);
  for (int i = 0; i < 24 * 8; ++i) {
    matrix.l_codes.push_back(i % 8 < 3 ? model::FloatToHalf(static_cast<float>(i % 5)) : 0);
  }
  for (int i = 0; i < 8 * 16; ++i) {
    matrix.r_codes.push_back(i < 3 * 16 ? model::FloatToHalf(static_cast<float>(i % 7)) : 0);
  }
  matrix.l_scale = {0.5F, 1.0F, 0.25F};
  matrix.r_scale = {1.0F, 0.5F, 2.0F};
  for (int i = 0; i < 16; ++i) matrix.sign_in.push_back(generator() & 1);
  for (int i = 0; i < 24; ++i) matrix.sign_out.push_back(generator() & 1);
  return matrix;
}

template <typename T>
std::vector<std::byte> Bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

const std::vector<float> kEmbedding = RandomValues(50 * 20, 1.0, 4);
const std::vector<float> kNorm = RandomValues(20, 1.0, 5);

// One matrix, a coded embedding and a norm, as the parts of one safetensors file.
std::vector<model::SafetensorsTensor> Parts() {
  std::vector<model::SafetensorsTensor> parts = *model::EncodeMatrix(RandomCompressed(), kPrefix);
  const model::EmbeddingCode code = *model::EncodeEmbedding(kEmbedding, 20);
  parts.push_back({{"model.embed_tokens.codes", model::Dtype::kI8, {50, 20}}, Bytes(code.codes)});
  parts.push_back({{"model.embed_tokens.scale", model::Dtype::kF16, {50}}, Bytes(code.scales)});
  parts.push_back({{"model.norm.weight", model::Dtype::kF32, {20}}, Bytes(kNorm)});
  return parts;
}

MatrixHeaders Headers() {
  return {{kPrefix, model::MatrixHeaderToJson(RandomCompressed().header)}};
}

std::unique_ptr<model::TensorSource> Stored(const std::vector<model::SafetensorsTensor>& parts) {
  auto bytes = model::WriteSafetensors({}, parts);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  auto file = model::SafetensorsFile::Open(
      std::make_unique<model::MemoryByteSource>("checkpoint", *std::move(bytes)));
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

std::unique_ptr<model::TensorSource> Opened() {
  auto source = MakeCompressedSource(Stored(Parts()), Headers());
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

TEST(CompressedSource, ListsTheOriginalTensorsSorted) {
  const auto source = Opened();
  std::vector<std::string> names;
  for (const auto& tensor : source->tensors()) names.push_back(tensor.name);
  EXPECT_THAT(names,
              testing::ElementsAre("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight",
                                   "model.norm.weight"));
  const model::TensorInfo* info = source->Find("model.layers.0.mlp.up_proj.weight");
  EXPECT_THAT(info->shape, testing::ElementsAre(24, 16));
  EXPECT_EQ(info->dtype, model::Dtype::kF32);
}

TEST(CompressedSource, DecodesAMatrixWholeAndByRows) {
  const auto source = Opened();
  const auto expected = decompose::DecodeMatrix(RandomCompressed());
  ASSERT_TRUE(expected.ok()) << expected.status();
  const auto whole = source->ReadAll("model.layers.0.mlp.up_proj.weight");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(std::memcmp(whole->data(), expected->data(), 24 * 16 * sizeof(float)), 0);
  for (std::int64_t row = 0; row < 24; ++row) {
    std::vector<float> one(16);
    ASSERT_TRUE(source->ReadRows("model.layers.0.mlp.up_proj.weight", row, 1, one).ok());
    EXPECT_EQ(std::memcmp(one.data(), expected->row(row), 16 * sizeof(float)), 0) << row;
  }
}

TEST(CompressedSource, DecodesEmbeddingRowsWithinHalfAStep) {
  const auto source = Opened();
  std::vector<float> rows(3 * 20);
  ASSERT_TRUE(source->ReadRows("model.embed_tokens.weight", 47, 3, rows).ok());
  const model::EmbeddingCode code = *model::EncodeEmbedding(kEmbedding, 20);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const float scale = model::HalfToFloat(code.scales[47 + i / 20]);
    EXPECT_NEAR(rows[i], kEmbedding[47 * 20 + i], scale * (0.5F + 127 * 0x1p-23F));
  }
}

// The same file with the embedding at 4 bits.
std::vector<model::SafetensorsTensor> NibbleParts() {
  std::vector<model::SafetensorsTensor> parts = Parts();
  std::erase_if(parts, [](const model::SafetensorsTensor& part) {
    return part.declaration.name.starts_with("model.embed_tokens");
  });
  model::ColumnPowers powers(20);
  EXPECT_TRUE(powers.Add(kEmbedding).ok());
  const model::NibbleColumns columns = *powers.Plan({});
  const model::NibbleCode code = *model::EncodeNibbles(kEmbedding, columns);
  const auto declarations = model::EmbeddingTensors({50, 20, base::Bits{4}}, "model.embed_tokens");
  parts.push_back({declarations[0], Bytes(code.codes)});
  parts.push_back({declarations[1], Bytes(code.scales)});
  parts.push_back({declarations[2], Bytes(columns.scales)});
  return parts;
}

MatrixHeaders NibbleHeaders() {
  MatrixHeaders headers = Headers();
  headers["model.embed_tokens"] = model::EmbeddingHeaderToJson({50, 20, base::Bits{4}});
  return headers;
}

TEST(CompressedSource, DecodesEmbeddingRowsOfFourBits) {
  const auto source = MakeCompressedSource(Stored(NibbleParts()), NibbleHeaders());
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->tensors().size(), 3U);
  EXPECT_THAT((*source)->Find("model.embed_tokens.weight")->shape, testing::ElementsAre(50, 20));
  const auto whole = (*source)->ReadAll("model.embed_tokens.weight");
  ASSERT_TRUE(whole.ok()) << whole.status();
  double error = 0;
  for (std::size_t i = 0; i < whole->size(); ++i) {
    error += std::pow(double{(*whole)[i]} - kEmbedding[i], 2);
  }
  EXPECT_LT(error, 0.01 * 50 * 20);  // the values have variance 1
  std::vector<float> rows(3 * 20);
  ASSERT_TRUE((*source)->ReadRows("model.embed_tokens.weight", 47, 3, rows).ok());
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), whole->begin() + 47 * 20));
}

TEST(CompressedSource, RefusesAnEmbeddingOfUnknownBitsByName) {
  MatrixHeaders headers = NibbleHeaders();
  std::string& json = headers["model.embed_tokens"];
  json.replace(json.find(":4"), 2, ":6");
  const absl::Status unknown = MakeCompressedSource(Stored(NibbleParts()), headers).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(base::MessageOf(unknown),
              HasSubstr("checkpoint: tensor model.embed_tokens.codes: tables of 6 bits"));
  const absl::Status none = MakeCompressedSource(Stored(NibbleParts()), Headers()).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(base::MessageOf(none), HasSubstr("tensor model.embed_tokens.codes is U8"));
  // A header for the tensors of 8 bits.
  const absl::Status other = MakeCompressedSource(Stored(Parts()), NibbleHeaders()).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(base::MessageOf(other), HasSubstr("model.embed_tokens.codes"));
}

TEST(CompressedSource, NamesABadScaleOfAnEmbedding) {
  std::vector<model::SafetensorsTensor> parts = NibbleParts();
  parts.back().bytes[1] = std::byte{0xff};
  const auto source = MakeCompressedSource(Stored(parts), NibbleHeaders());
  ASSERT_TRUE(source.ok()) << source.status();
  std::vector<float> row(20);
  const absl::Status status = (*source)->ReadRows("model.embed_tokens.weight", 0, 1, row);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(base::MessageOf(status), HasSubstr("checkpoint: model.embed_tokens.column_scale"));
}

TEST(CompressedSource, PassesOtherTensorsThrough) {
  const auto source = Opened();
  EXPECT_EQ(*source->ReadAll("model.norm.weight"), kNorm);
  EXPECT_EQ(*source->ReadRaw("model.norm.weight"), Bytes(kNorm));
}

TEST(CompressedSource, HasNoRawBytesOfDecodedTensors) {
  const auto source = Opened();
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"}) {
    EXPECT_EQ(source->ReadRaw(name).status().code(), absl::StatusCode::kUnimplemented);
  }
}

TEST(CompressedSource, RejectsUnknownTensorsAndRowsBeyondTheEnd) {
  const auto source = Opened();
  std::vector<float> row(16);
  // The parts of a matrix are not tensors of the model.
  EXPECT_EQ(source->ReadRows("model.layers.0.mlp.up_proj.q_codes", 0, 1, row).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(source->ReadRaw("nothing").status().code(), absl::StatusCode::kNotFound);
  for (const std::int64_t first : {std::int64_t{24}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    EXPECT_EQ(source->ReadRows("model.layers.0.mlp.up_proj.weight", first, 1, row).code(),
              absl::StatusCode::kOutOfRange);
  }
}

TEST(CompressedSource, NamesAMissingOrMisshapenPart) {
  const std::size_t count = Parts().size();
  for (std::size_t drop = 0; drop < count; ++drop) {
    std::vector<model::SafetensorsTensor> parts = Parts();
    const std::string name = parts[drop].declaration.name;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(drop));
    // Without its codes a matrix or embedding is no such thing; the norm stands alone.
    if (name.ends_with("codes") || name == "model.norm.weight") {
      if (!name.ends_with("l_codes") && !name.ends_with("r_codes")) continue;
    }
    const auto source = MakeCompressedSource(Stored(parts), Headers());
    EXPECT_EQ(source.status().code(), absl::StatusCode::kDataLoss) << name;
    EXPECT_THAT(base::MessageOf(source.status()), HasSubstr(name));
  }
  std::vector<model::SafetensorsTensor> parts = Parts();
  model::SafetensorsTensor& codes = parts.front();
  codes.declaration.shape = {codes.declaration.shape[1], codes.declaration.shape[0]};
  EXPECT_EQ(MakeCompressedSource(Stored(parts), Headers()).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(CompressedSource, NamesAMatrixWithoutAHeader) {
  const auto source = MakeCompressedSource(Stored(Parts()), {});
  EXPECT_EQ(source.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(base::MessageOf(source.status()), HasSubstr(kPrefix));
}

TEST(CompressedSource, RejectsAHeaderOfAnotherVersion) {
  MatrixHeaders headers = Headers();
  std::string& json = headers[kPrefix];
  json.replace(json.find(".v1"), 3, ".v9");
  EXPECT_EQ(MakeCompressedSource(Stored(Parts()), headers).status().code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace caldera::llama
