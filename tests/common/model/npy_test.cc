#include "common/model/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::Bytes;
using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ramp;
using testing::SourceOf;

// A file of this version with a header that ends where NumPy would end it, and data.
Bytes File(int version, const std::string& dictionary, const Bytes& data) {
  const std::size_t width = version == 1 ? 2 : 4;
  std::string header = dictionary;
  header.append((64 - (8 + width + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string start = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  for (std::size_t i = 0; i < width; ++i) {
    start += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  }
  Bytes file = BytesOf(start + header);
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

std::string Dictionary(const std::string& descr, const std::string& fortran,
                       const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

template <typename T>
std::vector<double> ValuesOf(const std::string& descr, const std::vector<T>& values) {
  const std::string shape = "(1, " + std::to_string(values.size()) + ")";
  const auto read = ReadNpy(*SourceOf(File(1, Dictionary(descr, "False", shape), BytesOf(values))));
  EXPECT_TRUE(read.ok()) << base::MessageOf(read.status());
  return read.ok() ? read->values : std::vector<double>();
}

std::string ErrorOf(const Bytes& file) {
  return base::MessageOf(ReadNpy(*SourceOf(file, "x.npy")).status());
}

std::string HeaderErrorOf(const std::string& header) {
  return base::MessageOf(ParseNpyHeader(header, "x.npy").status());
}

TEST(Npy, ReadsEveryDtype) {
  EXPECT_THAT(ValuesOf<double>("<f8", {-1.5, 1e300}), ElementsAre(-1.5, 1e300));
  EXPECT_THAT(ValuesOf<float>("<f4", {0.1F, -2}), ElementsAre(static_cast<double>(0.1F), -2));
  EXPECT_THAT(ValuesOf<std::uint16_t>("<f2", {0x3C00, 0xC100}), ElementsAre(1, -2.5));
  EXPECT_THAT(ValuesOf<std::int8_t>("|i1", {-128, 127}), ElementsAre(-128, 127));
  EXPECT_THAT(ValuesOf<std::int16_t>("<i2", {-32768, 5}), ElementsAre(-32768, 5));
  EXPECT_THAT(ValuesOf<std::int32_t>("<i4", {-70000, 5}), ElementsAre(-70000, 5));
  EXPECT_THAT(ValuesOf<std::int64_t>("<i8", {-(1LL << 53), 5}), ElementsAre(-0x1p53, 5));
  EXPECT_THAT(ValuesOf<std::uint8_t>("|u1", {255, 0}), ElementsAre(255, 0));
  EXPECT_THAT(ValuesOf<std::uint8_t>("<u1", {7}), ElementsAre(7));
  EXPECT_THAT(ValuesOf<std::uint16_t>("<u2", {65535}), ElementsAre(65535));
  EXPECT_THAT(ValuesOf<std::uint32_t>("<u4", {4000000000U}), ElementsAre(4e9));
  EXPECT_THAT(ValuesOf<std::uint64_t>("<u8", {1ULL << 63}), ElementsAre(0x1p63));
}

TEST(Npy, ReadsEveryVersionAndBothOrders) {
  const Bytes data = BytesOf(Ramp(6, 0));
  for (const int version : {1, 2, 3}) {
    const auto rows = ReadNpy(*SourceOf(File(version, Dictionary("<f4", "False", "(2, 3)"), data)));
    ASSERT_TRUE(rows.ok()) << base::MessageOf(rows.status());
    EXPECT_EQ(rows->rows, 2);
    EXPECT_EQ(rows->columns, 3);
    EXPECT_THAT(rows->values, ElementsAre(0, 1, 2, 3, 4, 5));
    const auto columns =
        ReadNpy(*SourceOf(File(version, Dictionary("<f4", "True", "(2, 3)"), data)));
    ASSERT_TRUE(columns.ok());
    EXPECT_EQ(columns->rows, 2);
    EXPECT_THAT(columns->values, ElementsAre(0, 2, 4, 1, 3, 5));
  }
}

TEST(Npy, ReadsWhatItWrites) {
  const std::vector<float> values = Ramp(35, -3.25F);
  const Bytes file = EncodeNpy(5, 7, values);
  EXPECT_EQ((file.size() - 35 * sizeof(float)) % 64, 0U);
  const auto read = ReadNpy(*SourceOf(file));
  ASSERT_TRUE(read.ok()) << base::MessageOf(read.status());
  EXPECT_EQ(read->rows, 5);
  EXPECT_EQ(read->columns, 7);
  EXPECT_EQ(read->values, std::vector<double>(values.begin(), values.end()));
}

TEST(Npy, ReadsAnEmptyMatrixAndValuesThatAreNotFinite) {
  const auto empty = ReadNpy(*SourceOf(File(1, Dictionary("<f4", "False", "(0, 3)"), {})));
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->columns, 3);
  EXPECT_TRUE(empty->values.empty());
  const auto wide = ReadNpy(
      *SourceOf(File(1, Dictionary("<f8", "True", "(9223372036854775807, 0)"), {})));  // at once
  ASSERT_TRUE(wide.ok());
  EXPECT_TRUE(wide->values.empty());
  EXPECT_TRUE(std::isnan(ValuesOf<float>("<f4", {std::numeric_limits<float>::quiet_NaN()})[0]));
}

TEST(Npy, AcceptsKeysInAnyOrderAndEitherQuote) {
  const auto header = ParseNpyHeader(R"({"shape":(4,),'fortran_order' : True , "descr":"<f8"} )"
                                     "\n",
                                     "x.npy");
  ASSERT_TRUE(header.ok()) << base::MessageOf(header.status());
  EXPECT_EQ(header->dtype, Dtype::kF64);
  EXPECT_EQ(header->order, ArrayOrder::kColumnMajor);
  EXPECT_THAT(header->shape, ElementsAre(4));
}

TEST(Npy, RefusesOtherNumbersOfDimensions) {
  for (const auto& [shape, count] :
       {std::pair("()", 0), std::pair("(4,)", 1), std::pair("(2, 2, 1)", 3)}) {
    const std::string error =
        ErrorOf(File(1, Dictionary("<f4", "False", shape), BytesOf(Ramp(count == 0 ? 1 : 4, 0))));
    EXPECT_THAT(error, HasSubstr("x.npy"));
    EXPECT_THAT(error, HasSubstr(std::to_string(count) + " dimensions")) << shape;
  }
}

TEST(Npy, NamesADtypeThatIsNotRead) {
  for (const std::string descr : {">f8", "|O", "<c8", "<U5", "|b1", "<f3", "|f4", "", "=f8"}) {
    const auto header = ParseNpyHeader(Dictionary(descr, "False", "(1, 1)"), "x.npy");
    EXPECT_EQ(header.status().code(), absl::StatusCode::kUnimplemented) << descr;
    EXPECT_THAT(base::MessageOf(header.status()), HasSubstr("'" + descr + "'"));
  }
  EXPECT_THAT(HeaderErrorOf(Dictionary(">f8", "False", "(1, 1)")), HasSubstr("big-endian"));
  EXPECT_THAT(HeaderErrorOf("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}"),
              HasSubstr("records"));
}

TEST(Npy, RejectsHeadersThatNumPyDoesNotWrite) {
  EXPECT_THAT(HeaderErrorOf("{'descr': '<f4', 'shape': (1, 1)}"), HasSubstr("fortran_order"));
  EXPECT_THAT(HeaderErrorOf("{'descr': '<f4', 'descr': '<f4'}"), HasSubstr("occurs twice"));
  EXPECT_THAT(HeaderErrorOf("{'colour': 'red'}"), HasSubstr("unknown key 'colour'"));
  for (const char* shape :
       {"(-1, 2)", "(1 2)", "(1.5, 2)", "2", "(99999999999999999999, 1)", "(1, 2", "(,)"}) {
    EXPECT_THAT(HeaderErrorOf(Dictionary("<f4", "False", shape)), HasSubstr("at byte")) << shape;
  }
  EXPECT_THAT(HeaderErrorOf(Dictionary("<f4", "0", "(1, 1)")), HasSubstr("at byte"));
  EXPECT_THAT(HeaderErrorOf(Dictionary("<f4", "False", "(1, 1)") + " x"), HasSubstr("at byte"));
}

TEST(Npy, RejectsDataOfAnotherSizeThanTheShape) {
  const std::string header = Dictionary("<f4", "False", "(2, 3)");
  EXPECT_THAT(ErrorOf(File(1, header, BytesOf(Ramp(5, 0)))), HasSubstr("20 bytes of data"));
  EXPECT_THAT(ErrorOf(File(1, header, BytesOf(Ramp(7, 0)))), HasSubstr("ask for 24"));
  const std::string huge = Dictionary("<f8", "False", "(4611686018427387904, 4)");
  EXPECT_THAT(ErrorOf(File(1, huge, {})), HasSubstr("overflows"));
}

TEST(Npy, RejectsAnotherMagicVersionOrLength) {
  const Bytes good = EncodeNpy(1, 1, Ramp(1, 0));
  Bytes bad = good;
  bad[1] = std::byte{'n'};
  EXPECT_THAT(ErrorOf(bad), HasSubstr("does not begin"));
  bad = good;
  bad[6] = std::byte{4};
  EXPECT_THAT(ErrorOf(bad), HasSubstr("version 4.0"));
  bad = File(2, Dictionary("<f4", "False", "(1, 1)"), BytesOf(Ramp(1, 0)));
  bad[11] = std::byte{0x7F};
  EXPECT_THAT(ErrorOf(bad), HasSubstr("at most"));
}

TEST(Npy, EveryPrefixIsRejected) {
  for (const int version : {1, 2}) {
    const Bytes file = File(version, Dictionary("<f4", "True", "(3, 2)"), BytesOf(Ramp(6, 0)));
    for (std::size_t length = 0; length < file.size(); ++length) {
      const Bytes prefix(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_THAT(ErrorOf(prefix), HasSubstr("x.npy")) << length;
    }
  }
}

TEST(Npy, FlippedBitsAreRejectedOrReadWithoutHarm) {
  const Bytes file = EncodeNpy(3, 2, Ramp(6, 0));
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto read = ReadNpy(*SourceOf(flipped));
    if (read.ok()) {
      EXPECT_EQ(read->values.size(), 6U) << bit;
    }
  }
}

}  // namespace
}  // namespace caldera::model
