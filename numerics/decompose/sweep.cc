#include "numerics/decompose/sweep.h"

#include <algorithm>
#include <vector>

#include "numerics/decompose/descent.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kPanel = 128;

// The diagonal blocks of the swept Hessian, one per panel.
std::vector<linalg::MatrixF> DiagonalPanels(const SweptHessian& hessian) {
  const std::int64_t n = hessian.plain.rows;
  std::vector<linalg::MatrixF> panels(static_cast<std::size_t>((n + kPanel - 1) / kPanel));
  kernels::ParallelFor(static_cast<std::int64_t>(panels.size()), [&](std::int64_t p) {
    const std::int64_t first = p * kPanel;
    const std::int64_t width = std::min(kPanel, n - first);
    linalg::MatrixF panel(width, width);
    linalg::Copy(hessian.plain.Block(first, first, width, width), panel.view());
    if (!hessian.basis.empty()) {
      const auto basis = hessian.basis.Rows(first, width);
      linalg::Gemm(basis, linalg::Transposed(basis), panel.view(), linalg::kSubtractFrom);
    }
    for (std::int64_t k = 0; k < width; ++k) panel(k, k) += hessian.delta;
    panels[static_cast<std::size_t>(p)] = std::move(panel);
  });
  return panels;
}

// to += weight from, of the same shape.
void AddTo(linalg::ConstViewF from, float weight, linalg::ViewF to) {
  for (std::int64_t i = 0; i < to.rows; ++i) {
    for (std::int64_t j = 0; j < to.columns; ++j) to.row(i)[j] += weight * from.row(i)[j];
  }
}

class SweepBlock {
 public:
  SweepBlock(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
             const RoundedBlock& out, const RowBlocks& blocks)
      : hessian_(hessian),
        out_(out),
        blocks_(blocks),
        coder_(grid),
        panel_(out, kPanel),
        difference_(target.columns, coder_.lanes()),
        values_(target.columns, coder_.lanes()),
        in_basis_(hessian.basis.columns, coder_.lanes()),
        codes_(static_cast<std::size_t>(coder_.vectors())),
        gains_(static_cast<std::size_t>(coder_.vectors())) {
    PackLanes(target, values_.view());
    PackLanes(out.decoded, difference_.view());
    AddTo(std::as_const(values_).view(), -1, difference_.view());
    std::fill_n(values_.data(), values_.rows() * values_.columns(), 0.0F);
    if (!hessian.basis.empty()) {
      linalg::Gemm(linalg::Transposed(hessian.basis), difference_, in_basis_.view());
    }
  }

  void Sweep(const std::vector<linalg::MatrixF>& diagonal) {
    const auto add = [this](Run from, Run to) {
      if (left_) return;
      linalg::Gemm(hessian_.plain.Block(to.first, from.first, to.count, from.count),
                   Rows(difference_, from), Rows(values_, to), linalg::kAddTo);
    };
    DescendHalves(
        {0, difference_.rows()}, kPanel,
        [&](Run panel) {
          SweepPanel(panel, diagonal[static_cast<std::size_t>(panel.first / kPanel)].view());
        },
        [&](Run left, Run right) { add(left, right); },
        [&](Run left, Run right) { add(right, left); });
  }

 private:
  static linalg::ViewF Rows(linalg::MatrixF& columns, Run run) {
    return columns.view().Rows(run.first, run.count);
  }

  // Finds D H of the panel's columns in `values`, leaves there what their values changed by.
  void SweepPanel(Run panel, linalg::ConstViewF diagonal) {
    left_ = left_ || blocks_.Left();
    if (left_) return;
    const linalg::ViewF values = Rows(values_, panel);
    AddOwnGradient(panel, values);
    panel_.LoadOrigin(out_.decoded.Columns(panel.first, panel.count));
    panel_.LoadCodes(panel);
    DescendPanel(diagonal, values, values,
                 [&](std::int64_t k) { Visit(panel.first + k, k, 1 / diagonal(k, k)); });
    panel_.Store(panel);
    AddTo(values, 1, Rows(difference_, panel));
    if (hessian_.basis.empty()) return;
    linalg::Gemm(linalg::Transposed(hessian_.basis.Rows(panel.first, panel.count)), values,
                 in_basis_.view(), linalg::kAddTo);
  }

  // What the panel's own columns add to D H, and what the downdate does.
  void AddOwnGradient(Run panel, linalg::ViewF values) {
    const linalg::ViewF difference = Rows(difference_, panel);
    linalg::Gemm(hessian_.plain.Block(panel.first, panel.first, panel.count, panel.count),
                 difference, values, linalg::kAddTo);
    if (hessian_.basis.empty()) return;
    linalg::Gemm(hessian_.basis.Rows(panel.first, panel.count), in_basis_, values,
                 linalg::kSubtractFrom);
    AddTo(difference, hessian_.delta, values);
  }

  // Column `column`, the k-th of its panel; `inverse` is 1 / H_kk.
  void Visit(std::int64_t column, std::int64_t k, float inverse) {
    float* const target = values_.row(column);
    const float* const before = panel_.origin(k);
    float* const after = panel_.decoded(k);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      target[lane] = before[lane] - target[lane] * inverse;
    }
    coder_.Encode(column, target, codes_.data(), after);
    FindGains(target, before, after);
    Accept(k, target);
  }

  // How much nearer to the target each codeword has come; all vectors of one have its gain.
  void FindGains(const float* target, const float* before, const float* after) {
    const std::int64_t vectors = coder_.vectors();
    std::fill(gains_.begin(), gains_.end(), 0.0F);
    float* const gains = gains_.data();
    for (std::int64_t run = 0; run < coder_.lanes(); run += vectors) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        const float old_error = target[run + v] - before[run + v];
        const float new_error = target[run + v] - after[run + v];
        gains[v] += old_error * old_error - new_error * new_error;
      }
    }
    if (coder_.sequence() == 1) return;
    for (std::int64_t start = 0; start < vectors; start += coder_.sequence()) {
      const std::int64_t end = std::min(start + coder_.sequence(), vectors);
      float sum = 0;
      for (std::int64_t v = start; v < end; ++v) sum += gains[v];
      std::fill(gains + start, gains + end, sum);
    }
  }

  // Keeps the codewords of column k that gain, takes the others back; `step` is the change.
  void Accept(std::int64_t k, float* step) {
    const std::int64_t vectors = coder_.vectors();
    const float* const gains = gains_.data();
    const float* const before = panel_.origin(k);
    float* const after = panel_.decoded(k);
    for (std::int64_t run = 0; run < coder_.lanes(); run += vectors) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        const float value = gains[v] > 0 ? after[run + v] : before[run + v];
        after[run + v] = value;
        step[run + v] = value - before[run + v];
      }
    }
    std::uint32_t* const codes = panel_.codes(k);
    for (std::int64_t v = 0; v < vectors; ++v) {
      if (gains[v] > 0) codes[v] = codes_[static_cast<std::size_t>(v)];
    }
  }

  const SweptHessian& hessian_;
  RoundedBlock out_;
  const RowBlocks& blocks_;
  bool left_ = false;
  LaneCoder coder_;
  PanelBuffers panel_;
  linalg::MatrixF difference_;        // D = Q - A, n x lanes
  linalg::MatrixF values_;            // D H as far as it is known, n x lanes
  linalg::MatrixF in_basis_;          // D B, r x lanes
  std::vector<std::uint32_t> codes_;  // of the column at hand
  std::vector<float> gains_;
};

}  // namespace

void Sweep(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
           const RowBlocks& blocks, Rounded& rounded) {
  const std::vector<linalg::MatrixF> diagonal = DiagonalPanels(hessian);
  ForEachRowBlock(target.rows, blocks, [&](std::int64_t first, std::int64_t rows) {
    SweepBlock(target.Rows(first, rows), hessian, grid.Rows(first, rows),
               BlockOf(rounded.decoded, rounded.codes, first, rows), blocks)
        .Sweep(diagonal);
  });
}

double SweepFlops(std::int64_t rows, const SweptHessian& hessian) {
  const auto n = static_cast<double>(hessian.plain.rows);
  return static_cast<double>(rows) * n * (2 * n + 4 * static_cast<double>(hessian.basis.columns));
}

}  // namespace caldera::decompose
