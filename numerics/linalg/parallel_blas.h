// Matrix products by fixed blocks in a ParallelFor, each block one single-threaded BLAS call.
//
// The blocks depend on shapes and `block` only, so the bits are those for one thread whatever the
// number of threads. Between ranks: when each rank holds the rows of a RowPartition and `block`
// equals (or divides) partition.block_rows(), GemmByRows works on the same global blocks for any
// number of ranks; then the result is also the same bits for any number of ranks. Preconditions are
// those of blas.h. A block of 256 rows reaches nearly the full sgemm speed; 64 rows lose about a
// third (B is packed again for each block).
#ifndef CALDERA_NUMERICS_LINALG_PARALLEL_BLAS_H_
#define CALDERA_NUMERICS_LINALG_PARALLEL_BLAS_H_

#include <cstdint>

#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"

namespace caldera::linalg {

// Rows or columns per block where the caller names none.
inline constexpr std::int64_t kDefaultBlock = 256;

// What falls to one of `size` processes that work on the same memory: blocks place, place + size
// ... of a loop. The default is all of it.
struct Share {
  std::int64_t place = 0;
  std::int64_t size = 1;

  std::int64_t CountOf(std::int64_t blocks) const { return (blocks - place + size - 1) / size; }
  std::int64_t Block(std::int64_t i) const { return place + i * size; }
};

// C (m x n) <- alpha A (m x k) B (k x n) + beta C, over blocks of rows of C.
void GemmByRows(OperandF a, OperandF b, ViewF c, Scale scale = {},
                std::int64_t block = kDefaultBlock);
void GemmByRows(OperandD a, OperandD b, ViewD c, Scale scale = {},
                std::int64_t block = kDefaultBlock);

// The same over blocks of columns of C: for few rows and many columns. Every rank must hold all of
// A.
void GemmByColumns(OperandF a, OperandF b, ViewF c, Scale scale = {},
                   std::int64_t block = kDefaultBlock);
void GemmByColumns(OperandD a, OperandD b, ViewD c, Scale scale = {},
                   std::int64_t block = kDefaultBlock);

// Lower triangle of C (n x n) <- alpha A A^T + beta C, over block x block tiles; a tile on the
// diagonal leaves its strict upper triangle alone. Transposed(X) gives X^T X.
void SyrkLowerByTiles(OperandF a, ViewF c, Scale scale = {}, std::int64_t block = kDefaultBlock,
                      Share share = {});
void SyrkLowerByTiles(OperandD a, ViewD c, Scale scale = {}, std::int64_t block = kDefaultBlock,
                      Share share = {});

// X T = B in place of B (m x n) for a triangular T = op(lower view), over blocks of rows
// (independent).
void SolveRightByRows(OperandF triangle, ViewF b, std::int64_t block = kDefaultBlock,
                      Share share = {});
void SolveRightByRows(OperandD triangle, ViewD b, std::int64_t block = kDefaultBlock,
                      Share share = {});

// T X = B in place of B (m x n), over blocks of columns (independent).
void SolveLeftByColumns(OperandF triangle, ViewF b, std::int64_t block = kDefaultBlock);
void SolveLeftByColumns(OperandD triangle, ViewD b, std::int64_t block = kDefaultBlock);

}  // namespace caldera::linalg

#endif  // CALDERA_NUMERICS_LINALG_PARALLEL_BLAS_H_
