// Blocks of rows that are rounded by themselves. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_ROW_BLOCKS_H_
#define CALDERA_NUMERICS_DECOMPOSE_ROW_BLOCKS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "numerics/decompose/descent.h"
#include "numerics/decompose/lane_panel.h"
#include "numerics/dist/interrupt.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// How the rows of a matrix are worked on: in blocks of so many, each by itself. A step asks for
// each product of a block, or 128 columns of it, whether to leave; what it has done by then is of
// no use.
struct RowBlocks {
  std::int64_t rows = 0;
  const dist::Interrupt* interrupt = nullptr;

  bool Left() const { return interrupt != nullptr && interrupt->Left(); }
};

// Runs body(first row, rows) over fixed row blocks in parallel.
template <typename Body>
void ForEachRowBlock(std::int64_t rows, const RowBlocks& blocks, const Body& body) {
  kernels::ParallelFor((rows + blocks.rows - 1) / blocks.rows, [&](std::int64_t block) {
    const std::int64_t first = block * blocks.rows;
    body(first, std::min(blocks.rows, rows - first));
  });
}

// The part of a rounded matrix that one row block owns: its rows, and its rows of codes.
struct RoundedBlock {
  linalg::ViewF decoded;
  std::uint32_t* codes;  // [vectors][n]
};

// The part of `decoded` and `codes` ([ceil(rows / 8)][columns of decoded]) for some of the rows.
inline RoundedBlock BlockOf(linalg::MatrixF& decoded, std::vector<std::uint32_t>& codes,
                            std::int64_t first, std::int64_t rows) {
  return {decoded.view().Rows(first, rows),
          codes.data() + first / lattice::kCodeDimension * decoded.columns()};
}

// What is at hand of a rounded block while one panel of its columns is visited: its values before
// and after in lanes, and its codes.
class PanelBuffers {
 public:
  PanelBuffers(const RoundedBlock& block, std::int64_t width)
      : block_(block),
        vectors_(VectorsOf(block.decoded.rows)),
        lanes_(LanesOf(block.decoded.rows)),
        origin_(width, lanes_ + kGap),
        decoded_(width, lanes_ + kGap),
        codes_(static_cast<std::size_t>(width * vectors_)) {}

  float* origin(std::int64_t k) { return origin_.row(k); }
  float* decoded(std::int64_t k) { return decoded_.row(k); }
  std::uint32_t* codes(std::int64_t k) { return codes_.data() + k * vectors_; }

  // `rows` (block rows x panel columns) becomes `origin`.
  void LoadOrigin(linalg::ConstViewF rows) { PackLanes(rows, origin_.view().Columns(0, lanes_)); }
  void LoadCodes(Run panel) {
    ForEachCode(panel, [](std::uint32_t& here, std::uint32_t& there) { here = there; });
  }
  // `decoded` and the codes go to the block.
  void Store(Run panel) {
    UnpackLanes(decoded_.view().Columns(0, lanes_),
                block_.decoded.Columns(panel.first, panel.count));
    ForEachCode(panel, [](std::uint32_t& here, std::uint32_t& there) { there = here; });
  }

 private:
  // Between runs of lanes, so that runs do not all fall into one set of the cache.
  static constexpr std::int64_t kGap = 16;

  template <typename Body>
  void ForEachCode(Run panel, const Body& body) {
    for (std::int64_t v = 0; v < vectors_; ++v) {
      std::uint32_t* const row = block_.codes + v * block_.decoded.columns + panel.first;
      for (std::int64_t k = 0; k < panel.count; ++k) body(codes(k)[v], row[k]);
    }
  }

  RoundedBlock block_;
  std::int64_t vectors_;
  std::int64_t lanes_;
  linalg::MatrixF origin_;
  linalg::MatrixF decoded_;
  std::vector<std::uint32_t> codes_;
};

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_ROW_BLOCKS_H_
