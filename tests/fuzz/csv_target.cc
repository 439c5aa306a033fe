// Input: a .csv file of numbers.
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/model/csv_matrix.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

Verdict Run(const std::string& input) {
  const auto matrix = model::ReadCsvMatrix(*SourceOf(input));
  if (!matrix.ok()) return Verdict::kRefused;
  CALDERA_CHECK(matrix->rows > 0 && matrix->columns > 0, "{} x {}", matrix->rows, matrix->columns);
  CALDERA_CHECK(std::cmp_equal(matrix->values.size(), matrix->rows * matrix->columns),
                "{} values of {} x {}", matrix->values.size(), matrix->rows, matrix->columns);
  for (const double value : matrix->values) {
    CALDERA_CHECK(std::isfinite(value), "{} is not finite", value);
  }
  return Verdict::kAccepted;
}

std::vector<Seed> Seeds() {
  return {{"plain", Verdict::kAccepted, "1,2\n3,4\n"},
          {"header", Verdict::kAccepted, "\xEF\xBB\xBFname, other\r\n +1.5 ,\t-2e-7\r\n0.25,1e300"},
          {"one_cell", Verdict::kAccepted, "7"},
          {"ragged", Verdict::kRefused, "1,2\n3\n"},
          {"infinite", Verdict::kRefused, "inf,nan\n"},
          {"blank_line", Verdict::kRefused, "1\n\n2\n"},
          {"beyond_float64", Verdict::kRefused, "1e999\n"}};
}

}  // namespace

Target CsvTarget() { return {"csv", Run, Seeds}; }

}  // namespace caldera::fuzz
