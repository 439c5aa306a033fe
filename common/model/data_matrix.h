// A plain table of numbers: what `caldera lplr` compresses, whatever file it came in.
//
// Files: .npy (common/model/npy), .csv (common/model/csv_matrix), .safetensors. Values are held in
// float64; 64-bit integers beyond 2^53 are rounded to it.
#ifndef CALDERA_COMMON_MODEL_DATA_MATRIX_H_
#define CALDERA_COMMON_MODEL_DATA_MATRIX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

struct DataMatrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> values;  // rows x columns, row-major
};

// Reads the whole file by the extension of its name. `tensor` chooses among the tensors of a
// .safetensors file; empty: its only tensor with two dimensions. INVALID_ARGUMENT naming the file
// for another extension, a `tensor` with a file that has none, no or several tensors to choose
// from, another number of dimensions than two, a matrix without values, and the first value that is
// not finite (by line and column in a .csv, by row and column from 0 elsewhere); NOT_FOUND for a
// missing file or tensor; errors of the readers. Memory: about twice the values, and the text of a
// .csv.
absl::StatusOr<DataMatrix> ReadDataMatrix(const std::string& path, const std::string& tensor);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_DATA_MATRIX_H_
