#include "common/model/csv_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SourceOf;

absl::StatusOr<DataMatrix> Read(const std::string& text) {
  return ReadCsvMatrix(*SourceOf(BytesOf(text), "x.csv"));
}

void ExpectTwoByThree(const std::string& text) {
  const auto read = Read(text);
  ASSERT_TRUE(read.ok()) << base::MessageOf(read.status());
  EXPECT_EQ(read->rows, 2);
  EXPECT_EQ(read->columns, 3);
  EXPECT_THAT(read->values, ElementsAre(1, -2.5, 3e-7, 4, 5, 0.1));
}

// The error of a text, which always names the file.
std::string ErrorOf(const std::string& text) {
  const auto read = Read(text);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(base::MessageOf(read.status()), HasSubstr("x.csv"));
  return base::MessageOf(read.status());
}

TEST(CsvMatrix, ReadsRowsOfNumbers) {
  ExpectTwoByThree("1,-2.5,3e-7\n4,5,0.1\n");
  ExpectTwoByThree("1,-2.5,3e-7\n4,5,0.1");
  ExpectTwoByThree("1,-2.5,3e-7\r\n4,5,0.1\r\n");
  ExpectTwoByThree(" 1 ,\t-2.50 , 3.0E-07\n+4,5.,.1\n");
}

TEST(CsvMatrix, SkipsAHeaderAndAByteOrderMark) {
  ExpectTwoByThree("a,b 2,\"c\"\n1,-2.5,3e-7\n4,5,0.1\n");
  ExpectTwoByThree(",x,\n1,-2.5,3e-7\n4,5,0.1\n");
  ExpectTwoByThree(
      "\xEF\xBB\xBF"
      "1,-2.5,3e-7\n4,5,0.1\n");
}

TEST(CsvMatrix, ReadsASingleCell) {
  const auto read = Read("7");
  ASSERT_TRUE(read.ok());
  EXPECT_THAT(read->values, ElementsAre(7));
}

TEST(CsvMatrix, NamesLineAndColumnOfWhatIsNoNumber) {
  EXPECT_THAT(ErrorOf("1,2\n3,x4\n"), HasSubstr("line 2, column 2: \"x4\" is not a number"));
  EXPECT_THAT(ErrorOf("1,2\n3,4x\n"), HasSubstr("line 2, column 2"));
  EXPECT_THAT(ErrorOf("a,b\n1,2\n0x3,4\n"), HasSubstr("line 3, column 1"));
  EXPECT_THAT(ErrorOf("1,2\n3,4 5\n"), HasSubstr("line 2, column 2"));
  EXPECT_THAT(ErrorOf("1,2\n3,+-4\n"), HasSubstr("line 2, column 2"));
  EXPECT_THAT(ErrorOf("1;2\n3;4\n5,6\n"), HasSubstr("line 2"));
  EXPECT_THAT(ErrorOf("1,a\n2,3\n"), HasSubstr("line 1, column 2"));
  EXPECT_THAT(ErrorOf("1,2\n3,\x01\x02\n"), HasSubstr("\\x01\\x02"));
  EXPECT_THAT(ErrorOf("1,2\n3," + std::string(1000, 'y')), HasSubstr("yyy...\""));
}

TEST(CsvMatrix, NamesLineAndColumnOfAnEmptyCell) {
  EXPECT_THAT(ErrorOf("1,2\n3,\n"), HasSubstr("line 2, column 2: the cell is empty"));
  EXPECT_THAT(ErrorOf("1,2\n,4\n"), HasSubstr("line 2, column 1"));
  EXPECT_THAT(ErrorOf("1,2\n3, \t\n"), HasSubstr("line 2, column 2"));
  EXPECT_THAT(ErrorOf(",0\n1,2\n"), HasSubstr("line 1, column 1"));
}

TEST(CsvMatrix, NamesLineAndColumnOfWhatIsNotFinite) {
  for (const std::string value : {"nan", "NaN", "inf", "-Infinity", "1e999", "-1e999"}) {
    EXPECT_THAT(ErrorOf("1,2\n3," + value + "\n"), HasSubstr("line 2, column 2: " + value));
    EXPECT_THAT(ErrorOf(value + ",2\n"), HasSubstr("line 1, column 1: " + value));
  }
}

TEST(CsvMatrix, NamesALineOfAnotherLength) {
  EXPECT_THAT(ErrorOf("1,2\n3,4,5\n"), HasSubstr("line 2 has 3 columns, line 1 has 2"));
  EXPECT_THAT(ErrorOf("a,b,c\n1,2,3\n1,2\n"), HasSubstr("line 3 has 2 columns"));
  EXPECT_THAT(ErrorOf("1,2,\n3,4\n"), HasSubstr("column 3"));
}

TEST(CsvMatrix, RefusesBlankLinesAndFilesWithoutNumbers) {
  EXPECT_THAT(ErrorOf("1,2\n\n3,4\n"), HasSubstr("line 2 is blank"));
  EXPECT_THAT(ErrorOf("1,2\n3,4\n\n"), HasSubstr("line 3 is blank"));
  EXPECT_THAT(ErrorOf("\n1,2\n"), HasSubstr("line 1 is blank"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no line of numbers"));
  EXPECT_THAT(ErrorOf("a,b\n"), HasSubstr("no line of numbers"));
}

TEST(CsvMatrix, EveryPrefixIsReadOrRejected) {
  const std::string text = "first,second\n1.5,-2e3\n3,4\n";
  for (std::size_t length = 0; length < text.size(); ++length) {
    const auto read = Read(text.substr(0, length));
    if (read.ok()) {
      EXPECT_EQ(read->columns, 2) << length;
      EXPECT_EQ(read->values.size(), static_cast<std::size_t>(2 * read->rows)) << length;
    }
  }
}

TEST(CsvMatrix, FlippedBitsAreReadOrRejectedByPlace) {
  const std::string text = "1.5,-2e3\n3,4\n";
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto read = Read(flipped);
    if (read.ok()) {
      EXPECT_EQ(read->values.size(), static_cast<std::size_t>(read->rows * read->columns)) << bit;
    } else {
      EXPECT_THAT(base::MessageOf(read.status()), HasSubstr("x.csv: line ")) << bit;
    }
  }
}

}  // namespace
}  // namespace caldera::model
