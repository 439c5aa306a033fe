// From codes back to weights: the inverse of Decompose.
//
//   W = D_out B_out (diag(s) Q + L R) B_in D_in   (without Q where q_bits is 0)
// with D = diag(+-1) and B the block-diagonal orthonormal Sylvester-Hadamard transform of
// common/model/compressed_matrix.h. Results are the same bits for any number of threads and for any
// row range: rows are decoded in fixed blocks, each a whole number of codewords and output blocks.
// Thread rule: pure functions; they run ParallelFor.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LINEAR_MAP_H_
#define CALDERA_NUMERICS_DECOMPOSE_LINEAR_MAP_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/compressed_matrix.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// Rows [first_row, first_row + row_count) of W, float32, into `out` (row_count x n).
// INVALID_ARGUMENT when the matrix is not valid or `out` has another shape; OUT_OF_RANGE for rows
// beyond m. Decodes R whole (2 r n bytes to read) and the blocks of up to 128 rows that cover the
// range: 2 rows r n flops for L R. Memory: r n + 128 n per thread + 128 r floats.
absl::Status DecodeRows(const model::CompressedMatrix& matrix, std::int64_t first_row,
                        std::int64_t row_count, linalg::ViewF out);

// The whole m x n matrix.
absl::StatusOr<linalg::MatrixF> DecodeMatrix(const model::CompressedMatrix& matrix);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LINEAR_MAP_H_
