// How a block of rows lies in memory while its columns are rounded one after another.
//
// A panel of k columns x R rows is stored as k runs of 8 V floats, V = ceil(R / 8): row 8 v + i is
// lane i V + v (component-major), so that one run is what Codebook::Encode takes and SIMD lanes are
// codewords. Lanes of rows beyond R hold 0. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LANE_PANEL_H_
#define CALDERA_NUMERICS_DECOMPOSE_LANE_PANEL_H_

#include <cstdint>
#include <span>
#include <vector>

#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// The code of one column: its codewords are multiplied by `scale`.
struct ColumnCode {
  const lattice::Codebook* codebook = nullptr;
  float scale = 1;
};

// A grid for rows: element (i, j) is scales[i] * scale of column j * codeword component.
struct RowGrid {
  const lattice::Codebook* codebook = nullptr;  // of all columns without an entry in `columns`
  std::span<const float> scales;                // one per row of the matrix that is rounded
  std::span<const ColumnCode> columns = {};     // one per column, or empty

  ColumnCode Column(std::int64_t j) const {
    return columns.empty() ? ColumnCode{codebook} : columns[static_cast<std::size_t>(j)];
  }
  RowGrid Rows(std::int64_t first, std::int64_t count) const {
    return {codebook,
            scales.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
            columns};
  }
};

// The grid of Q for a target: one scale for each group of 64 rows (model::kScaleRows), the rms of
// the group over the rms at which the code's Gaussian error is smallest.
struct GroupScales {
  std::vector<float> groups;  // one for each group
  std::vector<float> rows;    // the same for each row
};
GroupScales ScalesOfGroups(linalg::ConstViewF target, const lattice::Codebook& codebook);

inline std::int64_t VectorsOf(std::int64_t rows) {
  return (rows + lattice::kCodeDimension - 1) / lattice::kCodeDimension;
}
inline std::int64_t LanesOf(std::int64_t rows) { return VectorsOf(rows) * lattice::kCodeDimension; }

// rows x k <-> k x lanes (`lanes` has LanesOf(rows) columns).
void PackLanes(linalg::ConstViewF rows, linalg::ViewF lanes);
void UnpackLanes(linalg::ConstViewF lanes, linalg::ViewF rows);

// Rounds runs of lanes for one block of rows.
class LaneCoder {
 public:
  explicit LaneCoder(const RowGrid& grid);  // the block's rows
  std::int64_t lanes() const { return static_cast<std::int64_t>(scale_.size()); }
  std::int64_t vectors() const { return lanes() / lattice::kCodeDimension; }
  // Vectors that one codeword of the grid has, at most; the same for all columns.
  std::int64_t sequence() const { return static_cast<std::int64_t>(grid_.codebook->sequence()); }
  // Nearest grid points of `target`, a run of column j, and their codes; lanes with scale 0 decode
  // to 0.
  void Encode(std::int64_t j, const float* target, std::uint32_t* codes, float* decoded) const;

 private:
  RowGrid grid_;
  std::vector<float> scale_;
  std::vector<float> inverse_;
};

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LANE_PANEL_H_
