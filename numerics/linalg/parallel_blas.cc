#include "numerics/linalg/parallel_blas.h"

#include <algorithm>
#include <cassert>
#include <functional>

#include "numerics/kernels/parallel.h"

namespace caldera::linalg {
namespace {

// Calls body(first, count) for each run of at most `block` indices of [0, size) that is in the
// share, in parallel.
void ForBlocks(std::int64_t size, std::int64_t block, const Share& share,
               const std::function<void(std::int64_t, std::int64_t)>& body) {
  assert(block > 0);
  kernels::ParallelFor(share.CountOf((size + block - 1) / block), [&](std::int64_t i) {
    const std::int64_t first = share.Block(i) * block;
    body(first, std::min(block, size - first));
  });
}

template <typename T>
void ByRows(const Operand<T>& a, const Operand<T>& b, MatrixView<T> c, Scale scale,
            std::int64_t block) {
  ForBlocks(c.rows, block, {}, [&](std::int64_t first, std::int64_t count) {
    Gemm(a.Rows(first, count), b, c.Rows(first, count), scale);
  });
}

template <typename T>
void ByColumns(const Operand<T>& a, const Operand<T>& b, MatrixView<T> c, Scale scale,
               std::int64_t block) {
  ForBlocks(c.columns, block, {}, [&](std::int64_t first, std::int64_t count) {
    Gemm(a, b.Columns(first, count), c.Columns(first, count), scale);
  });
}

// Row of tiles of the k-th tile of a lower triangle counted row by row.
std::int64_t TileRow(std::int64_t k) {
  std::int64_t row = 0;
  while ((row + 1) * (row + 2) / 2 <= k) ++row;
  return row;
}

template <typename T>
void SyrkTile(const Operand<T>& rows, const Operand<T>& columns, MatrixView<T> tile, Scale scale) {
  Operand<T> right = columns;
  right.op = columns.op == Op::kNone ? Op::kTranspose : Op::kNone;
  Gemm(rows, right, tile, scale);
}

template <typename T>
void SyrkByTiles(const Operand<T>& a, MatrixView<T> c, Scale scale, std::int64_t block,
                 const Share& share) {
  assert(block > 0);
  const std::int64_t tiles = (c.rows + block - 1) / block;
  kernels::ParallelFor(share.CountOf(tiles * (tiles + 1) / 2), [&](std::int64_t index) {
    const std::int64_t k = share.Block(index);
    const std::int64_t row = TileRow(k);
    const std::int64_t i = row * block;
    const std::int64_t j = (k - row * (row + 1) / 2) * block;
    const std::int64_t height = std::min(block, c.rows - i);
    const std::int64_t width = std::min(block, c.rows - j);
    const Operand<T> a_rows = a.Rows(i, height);
    if (i == j) {
      SyrkLower(a_rows, c.Block(i, j, height, width), scale);
    } else {
      SyrkTile(a_rows, a.Rows(j, width), c.Block(i, j, height, width), scale);
    }
  });
}

template <typename T>
void RightByRows(const Operand<T>& triangle, MatrixView<T> b, std::int64_t block,
                 const Share& share) {
  ForBlocks(b.rows, block, share, [&](std::int64_t first, std::int64_t count) {
    TrsmLower(Side::kRight, triangle, b.Rows(first, count));
  });
}

template <typename T>
void LeftByColumns(const Operand<T>& triangle, MatrixView<T> b, std::int64_t block) {
  ForBlocks(b.columns, block, {}, [&](std::int64_t first, std::int64_t count) {
    TrsmLower(Side::kLeft, triangle, b.Columns(first, count));
  });
}

}  // namespace

void GemmByRows(OperandF a, OperandF b, ViewF c, Scale scale, std::int64_t block) {
  ByRows(a, b, c, scale, block);
}
void GemmByRows(OperandD a, OperandD b, ViewD c, Scale scale, std::int64_t block) {
  ByRows(a, b, c, scale, block);
}
void GemmByColumns(OperandF a, OperandF b, ViewF c, Scale scale, std::int64_t block) {
  ByColumns(a, b, c, scale, block);
}
void GemmByColumns(OperandD a, OperandD b, ViewD c, Scale scale, std::int64_t block) {
  ByColumns(a, b, c, scale, block);
}
void SyrkLowerByTiles(OperandF a, ViewF c, Scale scale, std::int64_t block, Share share) {
  SyrkByTiles(a, c, scale, block, share);
}
void SyrkLowerByTiles(OperandD a, ViewD c, Scale scale, std::int64_t block, Share share) {
  SyrkByTiles(a, c, scale, block, share);
}
void SolveRightByRows(OperandF triangle, ViewF b, std::int64_t block, Share share) {
  RightByRows(triangle, b, block, share);
}
void SolveRightByRows(OperandD triangle, ViewD b, std::int64_t block, Share share) {
  RightByRows(triangle, b, block, share);
}
void SolveLeftByColumns(OperandF triangle, ViewF b, std::int64_t block) {
  LeftByColumns(triangle, b, block);
}
void SolveLeftByColumns(OperandD triangle, ViewD b, std::int64_t block) {
  LeftByColumns(triangle, b, block);
}

}  // namespace caldera::linalg
