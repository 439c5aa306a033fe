// Reader of a matrix in comma-separated text: one row a line, the same number of cells in each.
//
// Cells are decimal numbers ("-1.5", "3", "2e-7") with a point whatever the locale; spaces and tabs
// around them are ignored. The first line is a header, and skipped, when no cell of it is a number.
// Lines end in LF or CR LF, the last one may lack it; a UTF-8 byte order mark is skipped. Quotes,
// comments, blank lines and other separators are not known. See docs/formats/data.md.
#ifndef CALDERA_COMMON_MODEL_CSV_MATRIX_H_
#define CALDERA_COMMON_MODEL_CSV_MATRIX_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/data_matrix.h"

namespace caldera::model {

inline constexpr std::uint64_t kMaxCsvBytes = std::uint64_t{1} << 34;

// INVALID_ARGUMENT naming file, line and column (both from 1, the header counted) for a cell that
// is empty, no number, NaN, infinite or beyond float64, for a line with another number of cells
// than the first, and for a blank line; naming the file when it holds no numbers or more than
// kMaxCsvBytes.
absl::StatusOr<DataMatrix> ReadCsvMatrix(const ByteSource& source);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_CSV_MATRIX_H_
