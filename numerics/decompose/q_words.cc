#include "numerics/decompose/q_words.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace caldera::decompose {
namespace {

constexpr std::int64_t kComponents = lattice::kCodeDimension;

void DecodeAlongRows(const QWords& q, const RowRange& rows, linalg::ViewF out) {
  const auto blocks = static_cast<std::size_t>((out.columns + kComponents - 1) / kComponents);
  const auto count = static_cast<std::size_t>(rows.count);
  const std::uint32_t* codes = q.codes.data() + static_cast<std::size_t>(rows.first) * blocks;
  std::vector<std::uint32_t> transposed(blocks * count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t b = 0; b < blocks; ++b) transposed[b * count + i] = codes[i * blocks + b];
  }
  std::vector<float> words(kComponents * transposed.size());
  q.family.Of(q.header.q_bits.value())
      .Decode({transposed.data(), blocks, count, count}, words.data(), count);
  for (std::int64_t i = 0; i < out.rows; ++i) {
    if (i >= rows.count) {
      std::fill_n(out.row(i), out.columns, 0.0F);
      continue;
    }
    for (std::int64_t j = 0; j < out.columns; ++j) {
      out(i, j) = words[static_cast<std::size_t>(j) * count + static_cast<std::size_t>(i)];
    }
  }
}

}  // namespace

void DecodeWords(const QWords& q, const RowRange& rows, linalg::ViewF out) {
  if (rows.count == 0 || out.columns == 0) return;
  if (q.header.axis == model::CodewordAxis::kColumns) return DecodeAlongRows(q, rows, out);
  const auto columns = static_cast<std::size_t>(out.columns);
  const auto vectors = static_cast<std::size_t>((rows.count + kComponents - 1) / kComponents);
  const lattice::CodeRows codes{
      q.codes.data() + static_cast<std::size_t>(rows.first / kComponents) * columns, vectors,
      columns, columns};
  const int bits = q.header.q_bits.value();
  if (q.column_bits.empty()) {
    q.family.Of(bits).Decode(codes, out.data, columns);
  } else {
    q.family.DecodeColumns(codes, q.column_bits, bits, out.data, columns);
  }
}

}  // namespace caldera::decompose
