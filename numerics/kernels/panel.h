// Loops over row-major panels of float32.
//
// Single-threaded; safe from any thread on disjoint outputs. `stride`: values from one row to the
// next.
#ifndef CALDERA_NUMERICS_KERNELS_PANEL_H_
#define CALDERA_NUMERICS_KERNELS_PANEL_H_

#include <cstddef>

namespace caldera::kernels {

// Rows of floats, not owned.
struct ConstRows {
  const float* data = nullptr;
  std::size_t count = 0;
  std::size_t stride = 0;
};

// Element j of row i of `from` becomes element i of row j of `to`, for i < from.count and j <
// columns. The two must not overlap.
void Transpose(ConstRows from, std::size_t columns, float* to, std::size_t to_stride);

// Adds weights[j] times row j to `sum`, for all rows from the first on and elements below `length`;
// where the instruction set has fused products, each addition is rounded once. The same instruction
// set gives the same bits wherever an element lies. `sum` must not overlap the rows.
void AddWeightedRows(const float* weights, ConstRows rows, float* sum, std::size_t length);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_PANEL_H_
