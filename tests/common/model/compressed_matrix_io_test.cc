#include "common/model/compressed_matrix_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "tests/support/random_compressed_matrix.h"

namespace caldera::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPrefix[] = "model.layers.0.self_attn.q_proj";

// Encoded tensors seen as a source; a test may change them in between.
class EncodedTensors final : public TensorSource {
 public:
  explicit EncodedTensors(std::vector<SafetensorsTensor> encoded) : encoded_(std::move(encoded)) {
    std::sort(encoded_.begin(), encoded_.end(),
              [](const auto& a, const auto& b) { return a.declaration.name < b.declaration.name; });
    for (const SafetensorsTensor& tensor : encoded_) {
      infos_.push_back({tensor.declaration.name, tensor.declaration.dtype, tensor.declaration.shape,
                        tensor.bytes.size()});
    }
  }

  const std::string& name() const override { return name_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  absl::Status ReadRows(const std::string&, std::int64_t, std::int64_t,
                        std::span<float>) const override {
    return base::Unimplemented("encoded tensors have no rows");
  }
  absl::StatusOr<std::vector<std::byte>> ReadRaw(const std::string& tensor) const override {
    for (const SafetensorsTensor& one : encoded_) {
      if (one.declaration.name == tensor) return one.bytes;
    }
    return base::NotFound("{}", tensor);
  }

 private:
  std::string name_ = "object";
  std::vector<SafetensorsTensor> encoded_;
  std::vector<TensorInfo> infos_;
};

CompressedMatrix Matrix(std::int64_t rows, std::int64_t columns, std::int64_t rank, double q_bits) {
  CompressedMatrixHeader header;
  header.rows = rows;
  header.columns = columns;
  header.rank = rank;
  SetQBits(q_bits, &header);
  return test_support::RandomCompressedMatrix(header, 3);
}

void ExpectSame(const CompressedMatrix& actual, const CompressedMatrix& expected) {
  EXPECT_EQ(actual.header, expected.header);
  EXPECT_EQ(actual.q_scale, expected.q_scale);
  EXPECT_EQ(actual.q_codes, expected.q_codes);
  EXPECT_EQ(actual.q_column_bits, expected.q_column_bits);
  EXPECT_EQ(actual.l_codes, expected.l_codes);
  EXPECT_EQ(actual.l_scale, expected.l_scale);
  EXPECT_EQ(actual.r_codes, expected.r_codes);
  EXPECT_EQ(actual.r_scale, expected.r_scale);
  EXPECT_EQ(actual.sign_in, expected.sign_in);
  EXPECT_EQ(actual.sign_out, expected.sign_out);
}

void ExpectRoundTrip(const CompressedMatrix& matrix) {
  auto tensors = EncodeMatrix(matrix, kPrefix);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::uint64_t bytes = 0;
  for (const SafetensorsTensor& tensor : *tensors) bytes += tensor.bytes.size();
  EXPECT_EQ(bytes, StoredBytes(matrix.header));
  const auto read =
      ReadMatrix(EncodedTensors(*std::move(tensors)), kPrefix, MatrixHeaderToJson(matrix.header));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(*read, matrix);
}

TEST(CompressedMatrixIo, ReadsBackWhatItWrites) {
  for (const auto& [rows, columns] :
       {std::pair(0, 0), std::pair(1, 1), std::pair(7, 13), std::pair(64, 24), std::pair(9, 0)}) {
    for (const double q_bits : {0.0, 2.0, 3.0, 4.0, 2.4, 3.3}) {
      const int largest = std::min(rows, columns);
      for (const int rank : {0, std::min(1, largest), largest}) {
        ExpectRoundTrip(Matrix(rows, columns, rank, q_bits));
      }
    }
  }
}

TEST(CompressedMatrixIo, ReadsBackCodewordsAlongRows) {
  for (const int q_bits : {2, 3, 4}) {
    CompressedMatrixHeader header;
    header.rows = 7;
    header.columns = 13;
    header.q_bits = base::Bits(q_bits);
    header.axis = CodewordAxis::kColumns;
    ExpectRoundTrip(test_support::RandomCompressedMatrix(header, 5));
  }
}

TEST(CompressedMatrixIo, ReadsBackEveryFactorWidth) {
  for (const int l_bits : {4, 8, 16}) {
    for (const int r_bits : {4, 8, 16}) {
      CompressedMatrixHeader header;
      header.rows = 24;
      header.columns = 10;
      header.rank = 5;
      header.l_bits = base::Bits(l_bits);
      header.r_bits = base::Bits(r_bits);
      ExpectRoundTrip(test_support::RandomCompressedMatrix(header, 4));
    }
  }
}

TEST(CompressedMatrixIo, LaysOutTheExtraBytesOfWiderColumns) {
  CompressedMatrix matrix = Matrix(16, 5, 0, 2.6);
  ASSERT_EQ(matrix.header.q_columns_3, 3);
  matrix.header.q_columns_3 = 1;
  matrix.header.q_columns_4 = 1;
  matrix.q_column_bits = {2, 4, 2, 3, 2};
  matrix.q_codes = {1, 0xA1B2C3D4, 2, 0x00E5F6A7, 3, 4, 0x11223344, 5, 0x00556677, 6};
  const auto tensors = EncodeMatrix(matrix, "p");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::map<std::string, SafetensorsTensor> by_name;
  for (const SafetensorsTensor& tensor : *tensors) by_name[tensor.declaration.name] = tensor;
  EXPECT_EQ(by_name["p.q_codes"].declaration.dtype, Dtype::kU16);
  EXPECT_THAT(by_name["p.q_codes_extra"].declaration.shape, ElementsAre(2, 3));
  EXPECT_THAT(by_name["p.q_codes_extra"].bytes,
              ElementsAre(std::byte{0xB2}, std::byte{0xA1}, std::byte{0xE5}, std::byte{0x22},
                          std::byte{0x11}, std::byte{0x55}));
  EXPECT_THAT(by_name["p.q_column_bits"].bytes, ElementsAre(std::byte{0x48}, std::byte{0x00}));
}

TEST(CompressedMatrixIo, LaysOutTensorsAsTheFormatSays) {
  CompressedMatrix matrix = Matrix(9, 3, 1, 3);
  matrix.q_codes[0] = 0xABCDEF;
  matrix.sign_out = {1, 0, 0, 0, 0, 0, 0, 1, 1};
  const auto tensors = EncodeMatrix(matrix, "p");
  ASSERT_TRUE(tensors.ok());
  std::map<std::string, SafetensorsTensor> by_name;
  for (const SafetensorsTensor& tensor : *tensors) by_name[tensor.declaration.name] = tensor;
  EXPECT_EQ(by_name["p.q_codes"].declaration.dtype, Dtype::kU16);
  EXPECT_THAT(by_name["p.q_codes"].declaration.shape, ElementsAre(2, 3));
  EXPECT_EQ(by_name["p.q_codes"].bytes[0], std::byte{0xEF});
  EXPECT_EQ(by_name["p.q_codes"].bytes[1], std::byte{0xCD});
  EXPECT_EQ(by_name["p.q_codes_residual"].bytes[0], std::byte{0xAB});
  EXPECT_THAT(by_name["p.l_codes"].declaration.shape, ElementsAre(2, 8));
  EXPECT_THAT(by_name["p.r_codes"].declaration.shape, ElementsAre(1, 3));
  EXPECT_THAT(by_name["p.r_scale"].declaration.shape, ElementsAre(1));
  EXPECT_THAT(by_name["p.sign_out"].bytes, ElementsAre(std::byte{0x81}, std::byte{0x01}));
}

TEST(CompressedMatrixIo, LeavesOutAQOfNoBits) {
  std::vector<std::string> names;
  for (const auto& tensor : MatrixTensors(Matrix(9, 3, 1, 0).header, "p")) {
    names.push_back(tensor.name);
  }
  EXPECT_THAT(names, ElementsAre("p.l_codes", "p.l_scale", "p.r_codes", "p.r_scale", "p.sign_in",
                                 "p.sign_out"));
}

TEST(CompressedMatrixIo, WritesTheHeaderWithSortedKeys) {
  EXPECT_EQ(MatrixHeaderToJson(Matrix(64, 13, 2, 2).header),
            R"({"codebook":"e8p","codeword_axis":"rows","columns":13,"format":"caldera.matrix.v1",)"
            R"("input_block":1,"l_bits":4,"output_block":64,"q_bits":2,"r_bits":4,"rank":2,)"
            R"("rows":64})");
}

TEST(CompressedMatrixIo, RejectsAnotherVersionCodebookOrAxis) {
  const std::string good = MatrixHeaderToJson(Matrix(8, 8, 1, 2).header);
  for (const auto& [from, to] : {std::pair("matrix.v1", "matrix.v2"), std::pair("e8p", "e9p"),
                                 std::pair(R"("rows",)", R"("diagonals",)")}) {
    std::string changed = good;
    changed.replace(changed.find(from), std::string(from).size(), to);
    const auto header = ParseMatrixHeader(changed, "layer.q");
    EXPECT_EQ(header.status().code(), absl::StatusCode::kUnimplemented) << changed;
    EXPECT_THAT(base::MessageOf(header.status()), HasSubstr("layer.q"));
  }
}

TEST(CompressedMatrixIo, RejectsNumbersOfColumnsWhoseSumOverflows) {
  std::string header = MatrixHeaderToJson(Matrix(8, 8, 1, 2).header);
  header.replace(header.find(R"("rows",)"), 7, R"("columns",)");
  header.insert(1, R"("q_columns_3":4611686018427387904,"q_columns_4":4611686018427387904,)");
  EXPECT_THAT(base::MessageOf(ParseMatrixHeader(header, "m").status()),
              HasSubstr("q_columns_3 4611686018427387904"));
}

TEST(CompressedMatrixIo, RejectsEveryPrefixAndChangedByteOfAHeaderThatIsNotOne) {
  const CompressedMatrixHeader header = Matrix(8, 8, 1, 2).header;
  const std::string good = MatrixHeaderToJson(header);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseMatrixHeader(good.substr(0, length), "m").ok());
  }
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string changed = good;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const auto parsed = ParseMatrixHeader(changed, "m");
    if (parsed.ok()) {
      EXPECT_EQ(MatrixHeaderToJson(*parsed), changed);
    }
  }
}

TEST(CompressedMatrixIo, NamesAMissingTensor) {
  const CompressedMatrix matrix = Matrix(16, 8, 2, 3);
  const auto tensors = EncodeMatrix(matrix, kPrefix);
  ASSERT_TRUE(tensors.ok());
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    auto fewer = *tensors;
    const std::string missing = fewer[i].declaration.name;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    const auto read = ReadMatrix(EncodedTensors(fewer), kPrefix, MatrixHeaderToJson(matrix.header));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(base::MessageOf(read.status()), HasSubstr(missing));
  }
}

TEST(CompressedMatrixIo, RejectsTensorsOfAnotherShape) {
  const CompressedMatrix matrix = Matrix(16, 8, 2, 2);
  const auto tensors = EncodeMatrix(matrix, kPrefix);
  ASSERT_TRUE(tensors.ok());
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    auto changed = *tensors;
    changed[i].declaration.shape.back() += 1;
    const auto read =
        ReadMatrix(EncodedTensors(changed), kPrefix, MatrixHeaderToJson(matrix.header));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(base::MessageOf(read.status()), HasSubstr(changed[i].declaration.name));
  }
}

TEST(CompressedMatrixIo, ReadsEveryFlippedBitAsItIsOrRejectsIt) {
  const CompressedMatrix matrix = Matrix(9, 5, 2, 3);
  const auto tensors = EncodeMatrix(matrix, kPrefix);
  ASSERT_TRUE(tensors.ok());
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    for (std::size_t bit = 0; bit < 8 * (*tensors)[i].bytes.size(); ++bit) {
      auto changed = *tensors;
      changed[i].bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      const auto read =
          ReadMatrix(EncodedTensors(changed), kPrefix, MatrixHeaderToJson(matrix.header));
      if (!read.ok()) {
        EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
        continue;
      }
      const auto again = EncodeMatrix(*read, kPrefix);
      ASSERT_TRUE(again.ok());
      EXPECT_EQ((*again)[i].bytes, changed[i].bytes);
    }
  }
}

TEST(CompressedMatrixIo, RefusesToWriteAnInvalidMatrix) {
  CompressedMatrix matrix = Matrix(16, 8, 2, 2);
  matrix.l_scale.pop_back();
  const auto tensors = EncodeMatrix(matrix, kPrefix);
  EXPECT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::MessageOf(tensors.status()), HasSubstr(kPrefix));
}

TEST(CompressedMatrixIo, WritesOneObjectPerMatrixDeterministically) {
  const CompressedMatrix matrix = Matrix(16, 8, 2, 2);
  const auto first = EncodeMatrixObject(kPrefix, matrix);
  const auto second = EncodeMatrixObject(kPrefix, matrix);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, *second);
  EXPECT_GT(first->size(), StoredBytes(matrix.header));
}

TEST(CompressedMatrixIo, FindsMatricesInTheMetadata) {
  const std::string header = MatrixHeaderToJson(Matrix(16, 8, 2, 2).header);
  EXPECT_THAT(MatrixPrefixes({{"b.q", header}, {"a.q", header}, {"format", "pt"}}),
              ElementsAre("a.q", "b.q"));
}

}  // namespace
}  // namespace caldera::model
