// The codewords of Q from its codes, for both directions that a codeword may run and for columns
// that differ in bits. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_Q_WORDS_H_
#define CALDERA_NUMERICS_DECOMPOSE_Q_WORDS_H_

#include <cstdint>
#include <span>

#include "common/model/compressed_matrix.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// Borrowed. The codes are those of a matrix or of a part of its rows; of the header only axis, bits
// and columns are read.
struct QWords {
  const model::CompressedMatrixHeader& header;
  const lattice::CodebookFamily& family;
  std::span<const std::uint32_t> codes;
  std::span<const std::uint8_t> column_bits;  // empty where all columns have header.q_bits
};

struct RowRange {
  std::int64_t first = 0;  // a multiple of 64, or of what one codeword spans
  std::int64_t count = 0;
};

// Words of these rows of the codes, not scaled, into the first rows of `out` (count rounded up to 8
// x n, without gaps between rows); padding rows get what the codes say, or 0.
void DecodeWords(const QWords& q, const RowRange& rows, linalg::ViewF out);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_Q_WORDS_H_
