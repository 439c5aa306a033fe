// Which columns of Q get more bits. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_COLUMN_BITS_H_
#define CALDERA_NUMERICS_DECOMPOSE_COLUMN_BITS_H_

#include <cstdint>
#include <vector>

#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// One more bit in a column and by how much it lowers the error below (rows of power 1).
struct ColumnBit {
  double gain = 0;
  std::int64_t column = 0;
};
// The third and fourth bit of every column, the largest gain first, of equal ones the first column:
// 2 n entries. O(n log n).
std::vector<ColumnBit> ColumnBitsByGain(linalg::ConstViewF factor,
                                        const lattice::CodebookFamily& family);

// 2, 3 or 4 bits for each column, 2 n + `extra` in all. LDLQ leaves the error
//   sum_j C(j, j)^2 e(bits_j) times the power of the rows,
// e the Gaussian error of the code and H = C C^T (`factor` = C, n x n), so bits go where
// C(j, j)^2 (e(b) - e(b + 1)) is largest, of equal ones to the first column. e falls by more at the
// first bit than at the second, so this is the best choice. 0 <= extra <= 2 n. O(n log n).
std::vector<std::uint8_t> ChooseColumnBits(linalg::ConstViewF factor,
                                           const lattice::CodebookFamily& family,
                                           std::int64_t extra);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_COLUMN_BITS_H_
