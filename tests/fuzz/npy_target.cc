// Input: a .npy file. The whole input is also read as the header of a file that has the data it
// asks for.
#include <utility>

#include "common/base/check.h"
#include "common/model/npy.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

std::string FileAround(const std::string& header) {
  constexpr std::size_t kMostData = 1 << 12;
  std::string file = std::string("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8 & 0xFF);
  // The width of an element is in "<f8" and the like, the number of elements is not.
  return file + header + FillerBytes(LargestNumber(header, kMostData) * 8);
}

Verdict ReadFile(const std::string& bytes) {
  const auto matrix = model::ReadNpy(*SourceOf(bytes));
  if (!matrix.ok()) return Verdict::kRefused;
  CALDERA_CHECK(matrix->rows >= 0 && matrix->columns >= 0, "{} x {}", matrix->rows,
                matrix->columns);
  CALDERA_CHECK(std::cmp_equal(matrix->values.size(), matrix->rows * matrix->columns),
                "{} values of {} x {}", matrix->values.size(), matrix->rows, matrix->columns);
  return Verdict::kAccepted;
}

Verdict Run(const std::string& input) {
  const Verdict whole = ReadFile(input);
  const Verdict header = ReadFile(FileAround(input));
  return whole == Verdict::kAccepted ? whole : header;
}

std::string Header(const std::string& descr, const std::string& order, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': (" + shape +
         "), } \n";
}

std::vector<Seed> Seeds() {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  return {{"float32", Verdict::kAccepted, TextOf(model::EncodeNpy(2, 3, values))},
          {"float64_fortran", Verdict::kAccepted, Header("<f8", "True", "1, 8")},
          {"int64", Verdict::kAccepted, Header("<i8", "False", "8,1")},
          {"no_columns", Verdict::kAccepted, Header("<f8", "True", "9223372036854775807, 0")},
          {"uint8", Verdict::kAccepted, Header("|u1", "False", "8, 8")},
          {"big_endian", Verdict::kRefused, Header(">f8", "False", "1, 8")},
          {"three_dimensions", Verdict::kRefused, Header("<f8", "False", "1, 1, 8")},
          {"huge", Verdict::kRefused, Header("<f8", "False", "4294967296, 4294967296")}};
}

}  // namespace

Target NpyTarget() { return {"npy", Run, Seeds}; }

}  // namespace caldera::fuzz
