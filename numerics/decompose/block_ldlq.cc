#include "numerics/decompose/block_ldlq.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "numerics/linalg/blas.h"
#include "numerics/linalg/factor.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kBlock = lattice::kCodeDimension;
constexpr std::int64_t kPanel = 128;

std::int64_t BlocksOf(std::int64_t columns) { return (columns + kBlock - 1) / kBlock; }

// Rounds blocks of 8 columns of some rows.
class BlockCoder {
 public:
  BlockCoder(const BlockGrid& grid, std::int64_t rows)
      : grid_(grid),
        values_(static_cast<std::size_t>(kBlock * rows)),
        codes_(static_cast<std::size_t>(rows)) {}

  // `target` (rows x width) becomes its grid points; code i goes to codes[i * stride].
  void Encode(linalg::ViewF target, std::uint32_t* codes, std::int64_t stride) {
    const auto count = static_cast<std::size_t>(target.rows);
    const float inverse = grid_.scale > 0 ? 1 / grid_.scale : 0;
    std::fill(values_.begin(), values_.end(), 0.0F);
    for (std::int64_t i = 0; i < target.rows; ++i) {
      for (std::int64_t k = 0; k < target.columns; ++k) {
        values_[static_cast<std::size_t>(k) * count + static_cast<std::size_t>(i)] =
            target(i, k) * inverse;
      }
    }
    grid_.codebook->Encode(values_.data(), count, count, codes_.data(), values_.data());
    for (std::int64_t i = 0; i < target.rows; ++i) {
      codes[i * stride] = codes_[static_cast<std::size_t>(i)];
      for (std::int64_t k = 0; k < target.columns; ++k) {
        target(i, k) = grid_.scale *
                       values_[static_cast<std::size_t>(k) * count + static_cast<std::size_t>(i)];
      }
    }
  }

 private:
  BlockGrid grid_;
  std::vector<float> values_;  // component-major
  std::vector<std::uint32_t> codes_;
};

// Visits panels, and in each the blocks of 8 columns, from the last to the first: panel(first,
// width), then block(panel's first, first, width).
template <typename Panel, typename Block>
void Descend(std::int64_t columns, const RowBlocks& blocks, const Panel& panel,
             const Block& block) {
  for (std::int64_t end = columns; end > 0 && !blocks.Left();) {
    const std::int64_t first = (end - 1) / kPanel * kPanel;
    panel(first, end - first);
    for (std::int64_t stop = end; stop > first;) {
      const std::int64_t begin = (stop - 1) / kBlock * kBlock;
      block(first, begin, stop - begin);
      stop = begin;
    }
    end = first;
  }
}

class LdlqRows {
 public:
  LdlqRows(linalg::ConstViewF target, linalg::ConstViewF factor, const BlockGrid& grid,
           const RowBlocks& blocks)
      : target_(target),
        factor_(factor),
        blocks_(blocks),
        coder_(grid, target.rows),
        error_(target.rows, target.columns),
        sums_(target.rows, kPanel) {}

  void Run(linalg::ViewF decoded, std::uint32_t* codes) {
    const std::int64_t n = target_.columns;
    Descend(
        n, blocks_,
        [&](std::int64_t first, std::int64_t width) {
          const std::int64_t later = n - first - width;
          linalg::Gemm(error_.view().Columns(first + width, later),
                       factor_.Block(first + width, first, later, width),
                       sums_.view().Columns(0, width));
        },
        [&](std::int64_t panel, std::int64_t first, std::int64_t width) {
          const linalg::ViewF feedback = sums_.view().Columns(first - panel, width);
          linalg::TrsmLower(linalg::Side::kRight, factor_.Block(first, first, width, width),
                            feedback);
          for (std::int64_t i = 0; i < target_.rows; ++i) {
            for (std::int64_t k = 0; k < width; ++k) {
              decoded(i, first + k) = target_(i, first + k) + feedback(i, k);
            }
          }
          coder_.Encode(decoded.Columns(first, width), codes + first / kBlock, BlocksOf(n));
          for (std::int64_t i = 0; i < target_.rows; ++i) {
            for (std::int64_t k = first; k < first + width; ++k) {
              error_(i, k) = target_(i, k) - decoded(i, k);
            }
          }
          if (first == panel) return;
          linalg::Gemm(error_.view().Columns(first, width),
                       factor_.Block(first, panel, width, first - panel),
                       sums_.view().Columns(0, first - panel), linalg::kAddTo);
        });
  }

 private:
  linalg::ConstViewF target_;
  linalg::ConstViewF factor_;
  const RowBlocks& blocks_;
  BlockCoder coder_;
  linalg::MatrixF error_;  // A - Q of the columns done
  linalg::MatrixF sums_;   // error times the factor's columns of the panel
};

class SweepRows {
 public:
  SweepRows(linalg::ConstViewF target, linalg::ConstViewF hessian, const BlockGrid& grid,
            const RowBlocks& blocks)
      : hessian_(hessian),
        blocks_(blocks),
        coder_(grid, target.rows),
        difference_(target.rows, target.columns),
        sums_(target.rows, kPanel),
        step_(target.rows, kBlock),
        target_(target) {}

  // `diagonal`: lower factors of the 8 x 8 blocks H_kk.
  void Run(const std::vector<linalg::MatrixF>& diagonal, linalg::ViewF decoded,
           std::uint32_t* codes) {
    const std::int64_t n = target_.columns;
    for (std::int64_t i = 0; i < target_.rows; ++i) {
      for (std::int64_t j = 0; j < n; ++j) difference_(i, j) = decoded(i, j) - target_(i, j);
    }
    Descend(
        n, blocks_,
        [&](std::int64_t first, std::int64_t width) {
          linalg::Gemm(difference_, hessian_.Columns(first, width), sums_.view().Columns(0, width));
        },
        [&](std::int64_t panel, std::int64_t first, std::int64_t width) {
          const linalg::MatrixF& factor = diagonal[static_cast<std::size_t>(first / kBlock)];
          const linalg::ViewF gradient = sums_.view().Columns(first - panel, width);
          linalg::TrsmLower(linalg::Side::kRight, linalg::Transposed(factor.view()), gradient);
          linalg::TrsmLower(linalg::Side::kRight, factor, gradient);
          Replace(first, gradient, decoded, codes + first / kBlock);
          if (first == panel) return;
          linalg::Gemm(step_.view().Columns(0, width),
                       hessian_.Block(first, panel, width, first - panel),
                       sums_.view().Columns(0, first - panel), linalg::kAddTo);
        });
  }

 private:
  // The block becomes grid(Q - move); step_ is the change.
  void Replace(std::int64_t first, linalg::ConstViewF move, linalg::ViewF decoded,
               std::uint32_t* codes) {
    const linalg::ViewF block = decoded.Columns(first, move.columns);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      for (std::int64_t k = 0; k < block.columns; ++k) {
        step_(i, k) = -block(i, k);
        block(i, k) -= move(i, k);
      }
    }
    coder_.Encode(block, codes, BlocksOf(decoded.columns));
    for (std::int64_t i = 0; i < block.rows; ++i) {
      for (std::int64_t k = 0; k < block.columns; ++k) {
        step_(i, k) += block(i, k);
        difference_(i, first + k) += step_(i, k);
      }
    }
  }

  linalg::ConstViewF hessian_;
  const RowBlocks& blocks_;
  BlockCoder coder_;
  linalg::MatrixF difference_;  // D = Q - A
  linalg::MatrixF sums_;        // D H of the panel's columns
  linalg::MatrixF step_;
  linalg::ConstViewF target_;
};

// Lower factors of the diagonal blocks.
std::vector<linalg::MatrixF> DiagonalFactors(linalg::ConstViewF hessian) {
  std::vector<linalg::MatrixF> factors;
  for (std::int64_t first = 0; first < hessian.rows; first += kBlock) {
    const std::int64_t width = std::min(kBlock, hessian.rows - first);
    linalg::MatrixF factor(width, width);
    linalg::Copy(hessian.Block(first, first, width, width), factor.view());
    // A damped Hessian has positive definite blocks; the identity keeps a sweep defined otherwise.
    if (!linalg::CholeskyLower(factor.view()).ok()) {
      factor = linalg::MatrixF(width, width);
      for (std::int64_t k = 0; k < width; ++k) factor(k, k) = 1;
    }
    factors.push_back(std::move(factor));
  }
  return factors;
}

}  // namespace

Rounded BlockLdlq(linalg::ConstViewF target, linalg::ConstViewF factor, const BlockGrid& grid,
                  const RowBlocks& blocks) {
  const std::int64_t codes = BlocksOf(target.columns);  // of a row
  Rounded rounded{linalg::MatrixF(target.rows, target.columns),
                  std::vector<std::uint32_t>(static_cast<std::size_t>(target.rows * codes))};
  ForEachRowBlock(target.rows, blocks, [&](std::int64_t first, std::int64_t rows) {
    LdlqRows(target.Rows(first, rows), factor, grid, blocks)
        .Run(rounded.decoded.view().Rows(first, rows), rounded.codes.data() + first * codes);
  });
  return rounded;
}

void BlockSweep(linalg::ConstViewF target, linalg::ConstViewF hessian, const BlockGrid& grid,
                const RowBlocks& blocks, Rounded& rounded) {
  const std::vector<linalg::MatrixF> diagonal = DiagonalFactors(hessian);
  const std::int64_t codes = BlocksOf(target.columns);  // of a row
  ForEachRowBlock(target.rows, blocks, [&](std::int64_t first, std::int64_t rows) {
    SweepRows(target.Rows(first, rows), hessian, grid, blocks)
        .Run(diagonal, rounded.decoded.view().Rows(first, rows),
             rounded.codes.data() + first * codes);
  });
}

}  // namespace caldera::decompose
