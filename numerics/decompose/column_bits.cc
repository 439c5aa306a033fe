#include "numerics/decompose/column_bits.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace caldera::decompose {

std::vector<ColumnBit> ColumnBitsByGain(linalg::ConstViewF factor,
                                        const lattice::CodebookFamily& family) {
  std::vector<ColumnBit> order;
  for (int bits = 2; bits < 4; ++bits) {
    const double fall = family.Of(bits).gaussian_error() - family.Of(bits + 1).gaussian_error();
    for (std::int64_t j = 0; j < factor.columns; ++j) {
      order.push_back({fall * std::pow(static_cast<double>(factor(j, j)), 2), j});
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const ColumnBit& a, const ColumnBit& b) { return a.gain > b.gain; });
  return order;
}

std::vector<std::uint8_t> ChooseColumnBits(linalg::ConstViewF factor,
                                           const lattice::CodebookFamily& family,
                                           std::int64_t extra) {
  const std::vector<ColumnBit> order = ColumnBitsByGain(factor, family);
  std::vector<std::uint8_t> column_bits(static_cast<std::size_t>(factor.columns), 2);
  for (std::int64_t i = 0; i < extra; ++i) {
    ++column_bits[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].column)];
  }
  return column_bits;
}

}  // namespace caldera::decompose
