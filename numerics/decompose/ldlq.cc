#include "numerics/decompose/ldlq.h"

#include "numerics/decompose/descent.h"
#include "numerics/linalg/blas.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kPanel = 128;

Rounded EmptyRounded(std::int64_t rows, std::int64_t columns) {
  return {linalg::MatrixF(rows, columns),
          std::vector<std::uint32_t>(static_cast<std::size_t>(VectorsOf(rows) * columns))};
}

class LdlqBlock {
 public:
  LdlqBlock(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
            const RoundedBlock& out, const RowBlocks& blocks)
      : target_(target),
        factor_(factor),
        blocks_(blocks),
        coder_(grid),
        panel_(out, kPanel),
        coupling_(kPanel, kPanel),
        steps_(target.columns, coder_.lanes()) {}

  void Round() {
    const auto after = [this](Run left, Run right) {
      if (left_) return;
      const auto coupling = factor_.Block(right.first, left.first, right.count, left.count);
      linalg::Gemm(linalg::Transposed(coupling), Rows(right), Rows(left), linalg::kAddTo);
    };
    DescendHalves(
        {0, target_.columns}, kPanel, [this](Run panel) { RoundPanel(panel); }, [](Run, Run) {},
        after);
  }

 private:
  linalg::ViewF Rows(Run columns) { return steps_.view().Rows(columns.first, columns.count); }

  void RoundPanel(Run panel) {
    left_ = left_ || blocks_.Left();
    if (left_) return;
    panel_.LoadOrigin(target_.Columns(panel.first, panel.count));
    const linalg::ViewF coupling = coupling_.view().Block(0, 0, panel.count, panel.count);
    linalg::Copy(
        linalg::Transposed(factor_.Block(panel.first, panel.first, panel.count, panel.count)),
        coupling);
    DescendPanel(coupling, Rows(panel), Rows(panel),
                 [&](std::int64_t k) { Visit(panel.first + k, k); });
    panel_.Store(panel);
  }

  // Column `column`, the k-th of its panel.
  void Visit(std::int64_t column, std::int64_t k) {
    float* const sum = steps_.row(column);
    const float* const origin = panel_.origin(k);
    const float inverse = 1 / coupling_(k, k);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      sum[lane] = origin[lane] + sum[lane] * inverse;
    }
    float* const decoded = panel_.decoded(k);
    coder_.Encode(column, sum, panel_.codes(k), decoded);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      sum[lane] = origin[lane] - decoded[lane];
    }
  }

  linalg::ConstViewF target_;
  linalg::ConstViewF factor_;
  const RowBlocks& blocks_;
  bool left_ = false;
  LaneCoder coder_;
  PanelBuffers panel_;
  linalg::MatrixF coupling_;  // the factor's block of the panel, transposed
  linalg::MatrixF steps_;  // n x lanes: A - Q of the columns done, sums of feedback of the others
};

}  // namespace

Rounded RoundPlain(linalg::ConstViewF target, const RowGrid& grid, const RowBlocks& blocks) {
  Rounded rounded = EmptyRounded(target.rows, target.columns);
  ForEachRowBlock(target.rows, blocks, [&](std::int64_t first, std::int64_t rows) {
    const LaneCoder coder(grid.Rows(first, rows));
    PanelBuffers panel(BlockOf(rounded.decoded, rounded.codes, first, rows), kPanel);
    for (Run run{0, kPanel}; run.first < target.columns; run.first += kPanel) {
      run.count = std::min(kPanel, target.columns - run.first);
      panel.LoadOrigin(target.Block(first, run.first, rows, run.count));
      for (std::int64_t k = 0; k < run.count; ++k) {
        coder.Encode(run.first + k, panel.origin(k), panel.codes(k), panel.decoded(k));
      }
      panel.Store(run);
    }
  });
  return rounded;
}

Rounded Ldlq(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
             const RowBlocks& blocks) {
  Rounded rounded = EmptyRounded(target.rows, target.columns);
  ForEachRowBlock(target.rows, blocks, [&](std::int64_t first, std::int64_t rows) {
    LdlqBlock(target.Rows(first, rows), factor, grid.Rows(first, rows),
              BlockOf(rounded.decoded, rounded.codes, first, rows), blocks)
        .Round();
  });
  return rounded;
}

double LdlqFlops(std::int64_t rows, std::int64_t columns) {
  return static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(columns);
}

}  // namespace caldera::decompose
