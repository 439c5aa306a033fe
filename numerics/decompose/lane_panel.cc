#include "numerics/decompose/lane_panel.h"

#include "numerics/decompose/context.h"
#include "numerics/kernels/parallel.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kComponents = lattice::kCodeDimension;

// `width` columns of one row from `first` on, and the lane of the row.
struct Strip {
  std::int64_t row;
  std::int64_t lane;
  std::int64_t first;
  std::int64_t width;
};

// All strips of rows (filled up to whole lanes) x columns: narrow ones, neighbouring lanes one
// after another, so that the transposition finishes the cache lines of both sides while they are
// near.
template <typename Body>
void ForEachStrip(std::int64_t rows, std::int64_t columns, const Body& body) {
  constexpr std::int64_t kWidth = 32;
  const std::int64_t vectors = VectorsOf(rows);
  for (std::int64_t first = 0; first < columns; first += kWidth) {
    const std::int64_t width = std::min(kWidth, columns - first);
    for (std::int64_t i = 0; i < kComponents; ++i) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        body(Strip{v * kComponents + i, i * vectors + v, first, width});
      }
    }
  }
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
  ForEachStrip(rows.rows, rows.columns, [&](const Strip& strip) {
    float* to = lanes.data + strip.first * lanes.stride + strip.lane;
    if (strip.row < rows.rows) {
      const float* const from = rows.row(strip.row) + strip.first;
      for (std::int64_t j = 0; j < strip.width; ++j, to += lanes.stride) *to = from[j];
    } else {
      for (std::int64_t j = 0; j < strip.width; ++j, to += lanes.stride) *to = 0;
    }
  });
}

void UnpackLanes(linalg::ConstViewF lanes, linalg::ViewF rows) {
  ForEachStrip(rows.rows, rows.columns, [&](const Strip& strip) {
    if (strip.row >= rows.rows) return;
    const float* from = lanes.data + strip.first * lanes.stride + strip.lane;
    float* const to = rows.row(strip.row) + strip.first;
    for (std::int64_t j = 0; j < strip.width; ++j, from += lanes.stride) to[j] = *from;
  });
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
