#include "numerics/decompose/lane_panel.h"

#include <algorithm>

#include "numerics/decompose/context.h"
#include "numerics/kernels/panel.h"
#include "numerics/kernels/parallel.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kComponents = lattice::kCodeDimension;

// Rows that are component i of their vectors, one in 8.
std::int64_t RowsOfComponent(std::int64_t rows, std::int64_t i) {
  return (rows - i + kComponents - 1) / kComponents;
}

std::int64_t LaneOf(std::int64_t row, std::int64_t vectors) {
  return row % kComponents * vectors + row / kComponents;
}

}  // namespace

GroupScales ScalesOfGroups(linalg::ConstViewF target, const lattice::Codebook& codebook) {
  const std::int64_t groups = (target.rows + model::kScaleRows - 1) / model::kScaleRows;
  GroupScales scales;
  scales.groups.resize(static_cast<std::size_t>(groups));
  scales.rows.resize(static_cast<std::size_t>(target.rows));
  kernels::ParallelFor(groups, [&](std::int64_t group) {
    const std::int64_t first = group * model::kScaleRows;
    const std::int64_t rows = std::min(model::kScaleRows, target.rows - first);
    const double rms = RootMeanSquare(target.Rows(first, rows));
    const auto scale = static_cast<float>(rms / codebook.input_rms());
    scales.groups[static_cast<std::size_t>(group)] = scale;
    std::fill_n(scales.rows.begin() + first, rows, scale);
  });
  return scales;
}

void PackLanes(linalg::ConstViewF rows, linalg::ViewF lanes) {
  const std::int64_t vectors = VectorsOf(rows.rows);
  for (std::int64_t i = 0; i < kComponents && vectors > 0; ++i) {
    const std::int64_t count = RowsOfComponent(rows.rows, i);
    const linalg::ViewF to = lanes.Columns(i * vectors, vectors);
    kernels::Transpose({rows.row(i), static_cast<std::size_t>(count),
                        static_cast<std::size_t>(kComponents * rows.stride)},
                       static_cast<std::size_t>(rows.columns), to.data,
                       static_cast<std::size_t>(to.stride));
    if (count == vectors) continue;
    for (std::int64_t j = 0; j < rows.columns; ++j) to(j, count) = 0;
  }
}

void UnpackLanes(linalg::ConstViewF lanes, linalg::ViewF rows) {
  const std::int64_t vectors = VectorsOf(rows.rows);
  for (std::int64_t i = 0; i < kComponents && vectors > 0; ++i) {
    kernels::Transpose({lanes.data + i * vectors, static_cast<std::size_t>(rows.columns),
                        static_cast<std::size_t>(lanes.stride)},
                       static_cast<std::size_t>(RowsOfComponent(rows.rows, i)), rows.row(i),
                       static_cast<std::size_t>(kComponents * rows.stride));
  }
}

LaneCoder::LaneCoder(const RowGrid& grid) : grid_(grid) {
  const auto rows = static_cast<std::int64_t>(grid.scales.size());
  scale_.resize(static_cast<std::size_t>(LanesOf(rows)));
  inverse_.resize(scale_.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto lane = static_cast<std::size_t>(LaneOf(row, VectorsOf(rows)));
    scale_[lane] = grid.scales[static_cast<std::size_t>(row)];
    inverse_[lane] = scale_[lane] > 0 ? 1 / scale_[lane] : 0;
  }
}

void LaneCoder::Encode(std::int64_t j, const float* target, std::uint32_t* codes,
                       float* decoded) const {
  const auto count = static_cast<std::size_t>(vectors());
  const ColumnCode column = grid_.Column(j);
  const float inverse = 1 / column.scale;
  for (std::size_t lane = 0; lane < scale_.size(); ++lane) {
    decoded[lane] = target[lane] * (inverse * inverse_[lane]);
  }
  column.codebook->Encode(decoded, count, count, codes, decoded);
  for (std::size_t lane = 0; lane < scale_.size(); ++lane) {
    decoded[lane] *= column.scale * scale_[lane];
  }
}

}  // namespace caldera::decompose
