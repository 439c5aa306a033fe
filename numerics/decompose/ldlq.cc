#include "numerics/decompose/ldlq.h"

#include <algorithm>

#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kPanel = 128;

std::int64_t PanelStart(std::int64_t end) { return (end - 1) / kPanel * kPanel; }

// Runs body(first row, rows) over fixed row blocks in parallel.
template <typename Body>
void ForEachBlock(std::int64_t rows, std::int64_t block_rows, const Body& body) {
  kernels::ParallelFor((rows + block_rows - 1) / block_rows, [&](std::int64_t block) {
    const std::int64_t first = block * block_rows;
    body(first, std::min(block_rows, rows - first));
  });
}

// The part of a Rounded that one row block owns: its rows, and its rows of codes.
struct RoundedBlock {
  linalg::ViewF decoded;
  std::uint32_t* codes;  // [vectors][n]
};

Rounded EmptyRounded(std::int64_t rows, std::int64_t columns) {
  return {linalg::MatrixF(rows, columns),
          std::vector<std::uint32_t>(static_cast<std::size_t>(VectorsOf(rows) * columns))};
}

RoundedBlock BlockOf(Rounded& rounded, std::int64_t first, std::int64_t rows) {
  return {rounded.decoded.view().Rows(first, rows),
          rounded.codes.data() + first / lattice::kCodeDimension * rounded.decoded.columns()};
}

// Lane buffers of one panel.
struct Lanes {
  Lanes(std::int64_t width, std::int64_t lanes)
      : value(width, lanes), step(width, lanes), origin(width, lanes), decoded(width, lanes) {}
  linalg::MatrixF value;    // sums of the feedback
  linalg::MatrixF step;     // what each column passes on
  linalg::MatrixF origin;   // LDLQ: target; sweep: the rounded values before
  linalg::MatrixF decoded;  // the rounded values after
};

class LdlqBlock {
 public:
  LdlqBlock(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
            RoundedBlock out)
      : target_(target),
        factor_(factor),
        out_(out),
        coder_(grid),
        error_(target.rows, target.columns),
        sums_(target.rows, kPanel),
        lanes_(kPanel, coder_.lanes()),
        codes_(static_cast<std::size_t>(coder_.vectors())) {}

  void Run() {
    for (std::int64_t end = target_.columns; end > 0; end = PanelStart(end)) {
      RunPanel(PanelStart(end), end);
    }
  }

 private:
  void RunPanel(std::int64_t first, std::int64_t end) {
    const std::int64_t width = end - first;
    const std::int64_t later = target_.columns - end;
    const linalg::ViewF sums = sums_.view().Columns(0, width);
    linalg::Gemm(error_.view().Columns(end, later), factor_.Block(end, first, later, width), sums);
    const linalg::ViewF value = lanes_.value.view().Rows(0, width);
    const linalg::ViewF step = lanes_.step.view().Rows(0, width);
    PackLanes(sums, value);
    PackLanes(target_.Columns(first, width), lanes_.origin.view());
    DescendPanel(factor_.Block(first, first, width, width), value, step,
                 [&](std::int64_t k) { Visit(first, k); });
    UnpackLanes(step, error_.view().Columns(first, width));
    UnpackLanes(lanes_.decoded.view(), out_.decoded.Columns(first, width));
  }

  void Visit(std::int64_t first, std::int64_t k) {
    float* const target = lanes_.value.row(k);
    const float* const origin = lanes_.origin.row(k);
    const float inverse = 1 / factor_(first + k, first + k);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      target[lane] = origin[lane] + target[lane] * inverse;
    }
    float* const decoded = lanes_.decoded.row(k);
    coder_.Encode(first + k, target, codes_.data(), decoded);
    float* const step = lanes_.step.row(k);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      step[lane] = origin[lane] - decoded[lane];
    }
    for (std::int64_t v = 0; v < coder_.vectors(); ++v) {
      out_.codes[v * target_.columns + first + k] = codes_[static_cast<std::size_t>(v)];
    }
  }

  linalg::ConstViewF target_;
  linalg::ConstViewF factor_;
  RoundedBlock out_;
  LaneCoder coder_;
  linalg::MatrixF error_;  // A - Q of the columns done
  linalg::MatrixF sums_;
  Lanes lanes_;
  std::vector<std::uint32_t> codes_;
};

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

class SweepBlock {
 public:
  SweepBlock(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
             RoundedBlock out)
      : hessian_(hessian),
        out_(out),
        coder_(grid),
        difference_(target.rows, target.columns),
        in_basis_(target.rows, hessian.basis.columns),
        sums_(target.rows, kPanel),
        lanes_(kPanel, coder_.lanes()),
        codes_(static_cast<std::size_t>(coder_.vectors())) {
    for (std::int64_t i = 0; i < target.rows; ++i) {
      for (std::int64_t j = 0; j < target.columns; ++j) {
        difference_.row(i)[j] = out.decoded.row(i)[j] - target.row(i)[j];
      }
    }
    if (!hessian.basis.empty()) {
      linalg::Gemm(difference_.view(), hessian.basis, in_basis_.view());
    }
  }

  void Run(const std::vector<linalg::MatrixF>& diagonal) {
    for (std::int64_t end = difference_.columns(); end > 0; end = PanelStart(end)) {
      const std::int64_t first = PanelStart(end);
      RunPanel(first, diagonal[static_cast<std::size_t>(first / kPanel)].view());
    }
  }

 private:
  void RunPanel(std::int64_t first, linalg::ConstViewF diagonal) {
    const std::int64_t width = diagonal.rows;
    const linalg::ViewF sums = sums_.view().Columns(0, width);
    const linalg::ViewF value = lanes_.value.view().Rows(0, width);
    const linalg::ViewF step = lanes_.step.view().Rows(0, width);
    GradientOfPanel(first, sums);
    PackLanes(sums, value);
    PackLanes(out_.decoded.Columns(first, width), lanes_.origin.view());
    DescendPanel(diagonal, value, step,
                 [&](std::int64_t k) { Visit(first, k, 1 / diagonal(k, k)); });
    UnpackLanes(lanes_.decoded.view(), out_.decoded.Columns(first, width));
    UnpackLanes(step, sums);
    AddToDifference(first, sums);
  }

  // Columns first ... of D H.
  void GradientOfPanel(std::int64_t first, linalg::ViewF sums) {
    const auto difference = difference_.view().Columns(first, sums.columns);
    linalg::Gemm(difference_, hessian_.plain.Columns(first, sums.columns), sums);
    if (hessian_.basis.empty()) return;
    linalg::Gemm(in_basis_, linalg::Transposed(hessian_.basis.Rows(first, sums.columns)), sums,
                 linalg::kSubtractFrom);
    for (std::int64_t i = 0; i < sums.rows; ++i) {
      for (std::int64_t j = 0; j < sums.columns; ++j) {
        sums.row(i)[j] += hessian_.delta * difference.row(i)[j];
      }
    }
  }

  void AddToDifference(std::int64_t first, linalg::ConstViewF steps) {
    for (std::int64_t i = 0; i < steps.rows; ++i) {
      float* const to = difference_.row(i) + first;
      for (std::int64_t j = 0; j < steps.columns; ++j) to[j] += steps.row(i)[j];
    }
    if (hessian_.basis.empty()) return;
    linalg::Gemm(steps, hessian_.basis.Rows(first, steps.columns), in_basis_.view(),
                 linalg::kAddTo);
  }

  void Visit(std::int64_t first, std::int64_t k, float inverse) {
    float* const target = lanes_.value.row(k);
    const float* const origin = lanes_.origin.row(k);
    for (std::int64_t lane = 0; lane < coder_.lanes(); ++lane) {
      target[lane] = origin[lane] - target[lane] * inverse;
    }
    coder_.Encode(first + k, target, codes_.data(), lanes_.decoded.row(k));
    for (std::int64_t start = 0; start < coder_.vectors(); start += coder_.sequence()) {
      const std::int64_t end = std::min(start + coder_.sequence(), coder_.vectors());
      if (!Accept(k, start, end)) continue;
      for (std::int64_t v = start; v < end; ++v) {
        out_.codes[v * difference_.columns() + first + k] = codes_[static_cast<std::size_t>(v)];
      }
    }
  }

  // Keeps the new codeword of vectors first .. end - 1 in column k only where it is nearer to the
  // target.
  bool Accept(std::int64_t k, std::int64_t first, std::int64_t end) {
    const float* const target = lanes_.value.row(k);
    const float* const before = lanes_.origin.row(k);
    float* const after = lanes_.decoded.row(k);
    float* const step = lanes_.step.row(k);
    float gain = 0;
    for (std::int64_t run = 0; run < coder_.lanes(); run += coder_.vectors()) {
      for (std::int64_t lane = run + first; lane < run + end; ++lane) {
        const float old_error = target[lane] - before[lane];
        const float new_error = target[lane] - after[lane];
        gain += old_error * old_error - new_error * new_error;
      }
    }
    const bool accepted = gain > 0;
    for (std::int64_t run = 0; run < coder_.lanes(); run += coder_.vectors()) {
      for (std::int64_t lane = run + first; lane < run + end; ++lane) {
        if (!accepted) after[lane] = before[lane];
        step[lane] = after[lane] - before[lane];
      }
    }
    return accepted;
  }

  const SweptHessian& hessian_;
  RoundedBlock out_;
  LaneCoder coder_;
  linalg::MatrixF difference_;  // D = Q - A
  linalg::MatrixF in_basis_;    // D B
  linalg::MatrixF sums_;
  Lanes lanes_;
  std::vector<std::uint32_t> codes_;
};

}  // namespace

Rounded RoundPlain(linalg::ConstViewF target, const RowGrid& grid, std::int64_t block_rows) {
  Rounded rounded = EmptyRounded(target.rows, target.columns);
  ForEachBlock(target.rows, block_rows, [&](std::int64_t first, std::int64_t rows) {
    const RoundedBlock out = BlockOf(rounded, first, rows);
    const LaneCoder coder(grid.Rows(first, rows));
    linalg::MatrixF lanes(1, coder.lanes());
    std::vector<std::uint32_t> codes(static_cast<std::size_t>(coder.vectors()));
    for (std::int64_t k = 0; k < target.columns; ++k) {
      PackLanes(target.Block(first, k, rows, 1), lanes.view());
      coder.Encode(k, lanes.data(), codes.data(), lanes.data());
      UnpackLanes(lanes.view(), out.decoded.Columns(k, 1));
      for (std::int64_t v = 0; v < coder.vectors(); ++v) {
        out.codes[v * target.columns + k] = codes[static_cast<std::size_t>(v)];
      }
    }
  });
  return rounded;
}

Rounded Ldlq(linalg::ConstViewF target, linalg::ConstViewF factor, const RowGrid& grid,
             std::int64_t block_rows) {
  Rounded rounded = EmptyRounded(target.rows, target.columns);
  ForEachBlock(target.rows, block_rows, [&](std::int64_t first, std::int64_t rows) {
    LdlqBlock(target.Rows(first, rows), factor, grid.Rows(first, rows),
              BlockOf(rounded, first, rows))
        .Run();
  });
  return rounded;
}

void Sweep(linalg::ConstViewF target, const SweptHessian& hessian, const RowGrid& grid,
           std::int64_t block_rows, Rounded& rounded) {
  const std::vector<linalg::MatrixF> diagonal = DiagonalPanels(hessian);
  ForEachBlock(target.rows, block_rows, [&](std::int64_t first, std::int64_t rows) {
    SweepBlock(target.Rows(first, rows), hessian, grid.Rows(first, rows),
               BlockOf(rounded, first, rows))
        .Run(diagonal);
  });
}

double LdlqFlops(std::int64_t rows, std::int64_t columns) {
  return static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(columns);
}

double SweepFlops(std::int64_t rows, const SweptHessian& hessian) {
  const auto n = static_cast<double>(hessian.plain.rows);
  return static_cast<double>(rows) * n * (2 * n + 4 * static_cast<double>(hessian.basis.columns));
}

}  // namespace caldera::decompose
