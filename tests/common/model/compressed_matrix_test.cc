#include "common/model/compressed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "tests/support/random_compressed_matrix.h"

namespace caldera::model {
namespace {

using ::testing::HasSubstr;

CompressedMatrix SmallMatrix() {
  CompressedMatrixHeader header;
  header.rows = 24;
  header.columns = 16;
  header.rank = 3;
  header.r_bits = base::Bits(16);
  return test_support::RandomCompressedMatrix(header, 1);
}

TEST(CompressedMatrix, OfAnyShapeIsValid) {
  for (const std::int64_t rows : {0, 1, 7, 8, 64}) {
    for (const std::int64_t columns : {0, 1, 13, 576}) {
      for (const int bits : {0, 2, 3, 4}) {
        CompressedMatrixHeader header;
        header.rows = rows;
        header.columns = columns;
        header.rank = rows == 0 || columns == 0 ? 0 : 1;
        header.q_bits = base::Bits(bits);
        const CompressedMatrix matrix = test_support::RandomCompressedMatrix(header, 2);
        EXPECT_TRUE(ValidateCompressedMatrix(matrix, "m").ok()) << rows << " x " << columns;
      }
    }
  }
}

TEST(CompressedMatrix, NamesMatrixAndFieldOfWhatIsWrong) {
  const struct {
    std::string field;
    std::function<void(CompressedMatrix&)> damage;
  } kDamages[] = {
      {"rows", [](CompressedMatrix& m) { m.header.rows = -1; }},
      {"columns", [](CompressedMatrix& m) { m.header.columns = std::int64_t{1} << 40; }},
      {"rank", [](CompressedMatrix& m) { m.header.rank = 17; }},
      {"q_bits", [](CompressedMatrix& m) { m.header.q_bits = base::Bits(5); }},
      {"q_bits", [](CompressedMatrix& m) { m.header.q_bits = base::Bits(1); }},
      {"q_codes", [](CompressedMatrix& m) { m.header.q_bits = base::Bits(0); }},
      {"l_bits", [](CompressedMatrix& m) { m.header.l_bits = base::Bits(5); }},
      {"r_bits", [](CompressedMatrix& m) { m.header.r_bits = base::Bits(0); }},
      {"input_block", [](CompressedMatrix& m) { m.header.input_block = 3; }},
      {"output_block", [](CompressedMatrix& m) { m.header.output_block = 16; }},
      {"q_scale", [](CompressedMatrix& m) { m.q_scale[0] = -1; }},
      {"q_scale", [](CompressedMatrix& m) { m.q_scale.push_back(1); }},
      {"q_codes", [](CompressedMatrix& m) { m.q_codes.pop_back(); }},
      {"q_codes", [](CompressedMatrix& m) { m.q_codes[5] = 1 << 16; }},
      {"l_codes", [](CompressedMatrix& m) { m.l_codes.push_back(0); }},
      {"r_codes", [](CompressedMatrix& m) { m.r_codes[1] = 0x7C00; }},
      {"l_scale", [](CompressedMatrix& m) { m.l_scale.clear(); }},
      {"r_scale",
       [](CompressedMatrix& m) { m.r_scale[0] = std::numeric_limits<float>::quiet_NaN(); }},
      {"sign_in", [](CompressedMatrix& m) { m.sign_in[3] = 2; }},
      {"sign_out", [](CompressedMatrix& m) { m.sign_out.pop_back(); }},
  };
  for (const auto& [field, damage] : kDamages) {
    CompressedMatrix matrix = SmallMatrix();
    damage(matrix);
    const absl::Status status = ValidateCompressedMatrix(matrix, "layer.q");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("layer.q"));
    EXPECT_THAT(base::MessageOf(status), HasSubstr(field));
  }
}

TEST(CompressedMatrix, CountsTheBitsOfMixedColumns) {
  CompressedMatrixHeader header;
  header.rows = 64;
  header.columns = 100;
  for (const auto& [q_bits, three, four] :
       {std::tuple(2.0, 0, 0), {2.25, 25, 0}, {2.999, 99, 0}, {3.0, 0, 0}, {3.3, 70, 30}}) {
    SetQBits(q_bits, &header);
    EXPECT_EQ(header.q_columns_3, three) << q_bits;
    EXPECT_EQ(header.q_columns_4, four) << q_bits;
    EXPECT_EQ(header.q_bits.value(), q_bits == 3.0 ? 3 : 2);
    const double map = header.mixed() ? 8 * 25.0 : 0;
    const double scales_and_signs = 32 + 104 + 64;
    EXPECT_NEAR(BitsPerWeight(header) * 6400,
                6400 * std::floor(100 * q_bits + 1e-9) / 100 + map + scales_and_signs, 1e-6);
  }
}

TEST(CompressedMatrix, NamesWhatIsWrongInMixedColumns) {
  const std::pair<std::string, std::function<void(CompressedMatrix&)>> kDamages[] = {
      {"q_columns_4", [](CompressedMatrix& m) { m.header.q_columns_4 = 17; }},
      {"q_columns_3", [](CompressedMatrix& m) { m.header.q_columns_3 = -1; }},
      {"q_bits", [](CompressedMatrix& m) { m.header.q_bits = base::Bits(3); }},
      {"q_column_bits", [](CompressedMatrix& m) { m.q_column_bits.pop_back(); }},
      {"q_column_bits", [](CompressedMatrix& m) { m.q_column_bits[0] ^= 1; }},
      {"q_column_bits", [](CompressedMatrix& m) { m.q_column_bits[0] = 5; }},
      {"column 2", [](CompressedMatrix& m) { m.q_codes[2] = 1U << (8 * m.q_column_bits[2]); }},
  };
  for (const auto& [field, damage] : kDamages) {
    CompressedMatrixHeader header;
    header.rows = 24;
    header.columns = 16;
    SetQBits(2.3, &header);
    CompressedMatrix matrix = test_support::RandomCompressedMatrix(header, 6);
    ASSERT_TRUE(ValidateCompressedMatrix(matrix, "m").ok());
    damage(matrix);
    const absl::Status status = ValidateCompressedMatrix(matrix, "m");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(base::MessageOf(status), HasSubstr(field));
  }
}

TEST(CompressedMatrix, HasOnlyE8pOfOneWidthAlongRows) {
  CompressedMatrixHeader header;
  header.rows = 7;
  header.columns = 20;
  header.axis = CodewordAxis::kColumns;
  EXPECT_TRUE(ValidateCompressedMatrix(test_support::RandomCompressedMatrix(header, 1), "m").ok());
  header.codebook = CodebookKind::kTrellis10;
  EXPECT_EQ(ValidateMatrixHeader(header).code(), absl::StatusCode::kUnimplemented);
  header.codebook = CodebookKind::kE8P;
  SetQBits(2.5, &header);
  CompressedMatrix matrix;
  matrix.header = header;
  EXPECT_EQ(ValidateCompressedMatrix(matrix, "m").code(), absl::StatusCode::kUnimplemented);
}

TEST(CompressedMatrix, NamesItsCodebooks) {
  for (const CodebookKind kind :
       {CodebookKind::kE8P, CodebookKind::kTrellis10, CodebookKind::kTrellis12}) {
    const auto parsed = ParseCodebook(CodebookName(kind));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, kind);
  }
  EXPECT_EQ(ParseCodebook("trellis-11").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(base::MessageOf(ParseCodebook("e9").status()), testing::HasSubstr("\"e9\""));
}

TEST(CompressedMatrix, IgnoresFactorBitsWithoutFactors) {
  CompressedMatrixHeader header;
  header.rows = 8;
  header.columns = 8;
  header.l_bits = base::Bits(0);
  EXPECT_TRUE(ValidateMatrixHeader(header).ok());
}

TEST(CompressedMatrix, CountsBitsPerWeightAsTheFormulaSays) {
  CompressedMatrixHeader header;
  header.rows = 576;
  header.columns = 1536;
  header.rank = 60;
  header.l_bits = base::Bits(4);
  header.r_bits = base::Bits(16);
  const double weights = 576.0 * 1536.0;
  const double expected =
      (2 * weights + 64 * (4 * 576.0 + 16 * 1536.0) + 32 * 2 * 60 + 32 * 9 + 576 + 1536) / weights;
  EXPECT_DOUBLE_EQ(BitsPerWeight(header), expected);
  header.rank = 0;
  header.q_bits = base::Bits(3);
  EXPECT_DOUBLE_EQ(BitsPerWeight(header), (3 * weights + 32 * 9 + 576 + 1536) / weights);
}

TEST(CompressedMatrix, CountsPaddingOfRowsRankAndSigns) {
  CompressedMatrixHeader header;
  header.rows = 7;
  header.columns = 13;
  header.rank = 1;
  header.l_bits = base::Bits(8);
  header.r_bits = base::Bits(8);
  EXPECT_EQ(StoredBytes(header), 2U * 13 + 4 + 8 * 8 + 8 * 13 + 2 * 4 + 2 + 1);
  EXPECT_EQ(BitsPerWeight(CompressedMatrixHeader{}), 0);
}

}  // namespace
}  // namespace caldera::model
