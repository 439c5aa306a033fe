// One compressed linear layer at rest: docs/formats/checkpoint.md specifies every byte. This header
// is the same contract in C++; numerics/decompose/linear_map turns it back into a matrix.
//
// In the rotated basis  W~ = diag(s) Q + L R  with Q from a lattice code and s_i = q_scale[i / 64]
// (matrices of plain data may lack Q); in the original basis
//   W = D_out B_out W~ B_in D_in,   D = diag(+-1 signs), B = block-diagonal Sylvester-Hadamard
// (natural order, orthonormal, symmetric, so B is its own inverse).
#ifndef CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_H_
#define CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/types.h"

namespace caldera::model {

// Rows that share one scale of Q.
inline constexpr std::int64_t kScaleRows = 64;

// E8P, or a tail-biting trellis code with 2^10 or 2^12 states (docs/formats/checkpoint.md).
enum class CodebookKind { kE8P, kTrellis10, kTrellis12 };

// "e8p", "trellis-10", "trellis-12": the names in headers, manifests and job specs.
std::string_view CodebookName(CodebookKind kind);
// UNIMPLEMENTED, naming the known ones, for another name.
absl::StatusOr<CodebookKind> ParseCodebook(std::string_view name);

// Which way a codeword of 8 values runs: down 8 rows of one column (the default), or along a row.
enum class CodewordAxis { kRows, kColumns };

// Shape and coding of a compressed matrix: what the header of its object says.
struct CompressedMatrixHeader {
  std::int64_t rows = 0;     // m, outputs
  std::int64_t columns = 0;  // n, inputs
  std::int64_t rank = 0;     // r >= 0
  CodebookKind codebook = CodebookKind::kE8P;
  CodewordAxis axis = CodewordAxis::kRows;
  base::Bits q_bits{2};  // 2, 3, 4; 2 in a mixed matrix; 0: there is no Q
  // Mixed: columns of Q differ in bits, so many have 3 and 4. Otherwise both 0.
  std::int64_t q_columns_3 = 0;
  std::int64_t q_columns_4 = 0;
  base::Bits l_bits{4};  // 4, 8, 16; meaningless when rank == 0
  base::Bits r_bits{4};
  std::int64_t input_block = 1;   // Hadamard block along n; 1 = no transform
  std::int64_t output_block = 1;  // Hadamard block along m

  bool mixed() const { return q_columns_3 + q_columns_4 > 0; }
  // Bits beyond two of all columns of a mixed matrix together; as many bytes has a row of 8-row
  // codes beyond two for each column.
  std::int64_t extra_bytes() const { return q_columns_3 + 2 * q_columns_4; }
  std::int64_t padded_rows() const { return (rows + 7) / 8 * 8; }  // m8
  // Shape of the codes of Q.
  std::int64_t code_rows() const { return axis == CodewordAxis::kRows ? padded_rows() / 8 : rows; }
  std::int64_t code_columns() const {
    return axis == CodewordAxis::kRows ? columns : (columns + 7) / 8;
  }
  std::int64_t padded_rank() const { return (rank + 7) / 8 * 8; }  // r8
  bool has_q() const { return q_bits.value() != 0; }
  std::int64_t q_code_count() const { return has_q() ? code_rows() * code_columns() : 0; }
  std::int64_t scale_count() const { return has_q() ? (rows + kScaleRows - 1) / kScaleRows : 0; }
  friend bool operator==(const CompressedMatrixHeader&, const CompressedMatrixHeader&) = default;
};

// Codes as unpacked integers in memory; packing happens in compressed_matrix_io. Sizes:
//   q_codes   [m8/8][n]    one code of 8 bits times the column's bits per 8 rows x 1 column; q_bits
//   0: none;
//             axis kColumns: [m][n8/8], one code per 1 row x 8 columns
//   q_column_bits [n]      2, 3 or 4; empty unless mixed
//   l_codes   4 bit: [m8/8][r8], one 32-bit code per 8 rows x 1 rank index;
//             8 bit: [m8][r8] int8 as uint32 low byte; 16 bit: [m8][r8] IEEE half bits
//   r_codes   4 bit: [r8/8][n], one 32-bit code per 8 rank indices x 1 column;
//             8 bit: [r8][n]; 16 bit: [r8][n]
//   q_scale [scale_count()]: one for each 64 rows, the last group may be shorter; q_bits 0: none
//   l_scale, r_scale [rank]: L[:,k] = l_scale[k] * decoded, R[k,:] = r_scale[k] * decoded
//   sign_in [n], sign_out [m]: 1 means -1, 0 means +1
struct CompressedMatrix {
  CompressedMatrixHeader header;
  std::vector<float> q_scale;
  std::vector<std::uint32_t> q_codes;
  std::vector<std::uint8_t> q_column_bits;
  std::vector<std::uint32_t> l_codes;
  std::vector<float> l_scale;
  std::vector<std::uint32_t> r_codes;
  std::vector<float> r_scale;
  std::vector<std::uint8_t> sign_in;
  std::vector<std::uint8_t> sign_out;
};

// INVALID_ARGUMENT naming the field when a value is out of its domain: dimensions 0 .. 2^30, rank
// at most min(m, n), bits as above, blocks powers of two up to 1024 that divide their dimension.
// UNIMPLEMENTED for codewords along rows that are not e8p of one width.
absl::Status ValidateMatrixHeader(const CompressedMatrixHeader& header);

// The same for the header and all vectors, with `name` before the message: sizes as the header
// asks, codes within their width, halves and scales finite and not negative, signs 0 or 1.
absl::Status ValidateCompressedMatrix(const CompressedMatrix& matrix, const std::string& name);

// Sets q_bits and, for a number between 2, 3 and 4, the counts of a mixed matrix whose n columns
// (already set) have floor(n (q_bits - 2)) bits beyond two together; which have 3 and 4 is the
// decomposition's choice, sizes depend only on the sum. Precondition: 2 <= q_bits <= 4.
void SetQBits(double q_bits, CompressedMatrixHeader* header);

// INVALID_ARGUMENT unless there are n entries of 2, 3 or 4, as many of each as the header says.
absl::Status CheckColumnBits(const CompressedMatrixHeader& header,
                             const std::vector<std::uint8_t>& column_bits);

// 8 * stored bytes / (m n) from the header alone: codes, scales, signs and padding as EncodeMatrix
// stores them (not the names and headers around them); 0 for an empty matrix. Precondition: valid.
double BitsPerWeight(const CompressedMatrixHeader& header);
std::uint64_t StoredBytes(const CompressedMatrixHeader& header);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_COMPRESSED_MATRIX_H_
