#include "numerics/lattice/factor_code.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "common/base/status.h"
#include "common/model/dtype.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/codebook.h"

namespace caldera::lattice {
namespace {

constexpr std::int64_t kBlockRows = kCodeDimension;
constexpr float kLargestInt8 = 127.0F;

std::int64_t RoundUp(std::int64_t size) { return (size + 7) / 8 * 8; }

// Which index of the factor the scale belongs to.
enum class ScaleAlong { kColumns, kRows };  // L, R

// What one block of 8 rows needs to know; `columns` includes padding.
struct Layout {
  base::Bits bits;
  ScaleAlong along;
  std::int64_t rows = 0;     // stored rows of the factor, without padding
  std::int64_t columns = 0;  // of the factor, without padding
  std::int64_t padded_columns = 0;

  std::int64_t blocks() const { return RoundUp(rows) / kBlockRows; }
  std::int64_t codes_per_block() const {
    return bits.value() == 4 ? padded_columns : kBlockRows * padded_columns;
  }
  std::int64_t code_count() const { return blocks() * codes_per_block(); }
};

Layout LayoutOfL(std::int64_t rows, std::int64_t columns, base::Bits bits) {
  return {bits, ScaleAlong::kColumns, rows, columns, RoundUp(columns)};
}

Layout LayoutOfR(std::int64_t rows, std::int64_t columns, base::Bits bits) {
  return {bits, ScaleAlong::kRows, rows, columns, columns};
}

absl::Status CheckSizes(const Layout& layout, std::size_t scales, std::size_t codes) {
  const int bits = layout.bits.value();
  if (bits != 4 && bits != 8 && bits != 16) {
    return base::InvalidArgument("factor bits are 4, 8 or 16, not {}", bits);
  }
  const bool is_l = layout.along == ScaleAlong::kColumns;
  const std::int64_t rank = is_l ? layout.columns : layout.rows;
  if (std::cmp_not_equal(scales, rank)) {
    return base::InvalidArgument("factor {}: {} scales for rank {}", is_l ? "L" : "R", scales,
                                 rank);
  }
  if (std::cmp_not_equal(codes, layout.code_count())) {
    return base::InvalidArgument("factor {}: {} codes, expected {}", is_l ? "L" : "R", codes,
                                 layout.code_count());
  }
  return absl::OkStatus();
}

// Scale of element (row, column).
float ScaleAt(const Layout& layout, std::span<const float> scales, std::int64_t row,
              std::int64_t column) {
  return scales[static_cast<std::size_t>(layout.along == ScaleAlong::kColumns ? column : row)];
}

std::uint32_t EncodeScalar(float value, base::Bits bits) {
  if (bits.value() == 16) return model::FloatToHalf(value);
  const float rounded = std::nearbyint(std::clamp(value, -kLargestInt8, kLargestInt8));
  return static_cast<std::uint8_t>(static_cast<std::int8_t>(rounded));
}

float DecodeScalar(std::uint32_t code, base::Bits bits) {
  if (bits.value() == 16) return model::HalfToFloat(static_cast<std::uint16_t>(code));
  return static_cast<float>(static_cast<std::int8_t>(code));
}

// Block `block` of the factor divided by its scales, 8 x padded_columns, padding 0.
linalg::MatrixF NormalisedBlock(const Layout& layout, linalg::ConstViewF factor,
                                std::span<const float> scales, std::int64_t block) {
  linalg::MatrixF out(kBlockRows, layout.padded_columns);
  const std::int64_t first = block * kBlockRows;
  const std::int64_t rows = std::min(kBlockRows, layout.rows - first);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* const from = factor.row(first + i);
    float* const to = out.row(i);
    for (std::int64_t j = 0; j < layout.columns; ++j) {
      const float scale = ScaleAt(layout, scales, first + i, j);
      to[j] = scale > 0 ? from[j] / scale : 0.0F;
    }
  }
  return out;
}

// Codewords of block `block` times the scales into the rows of `out` that exist.
void StoreBlock(const Layout& layout, linalg::ConstViewF words, std::span<const float> scales,
                std::int64_t block, linalg::ViewF out) {
  const std::int64_t first = block * kBlockRows;
  const std::int64_t rows = std::min(kBlockRows, layout.rows - first);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* const from = words.row(i);
    float* const to = out.row(first + i);
    for (std::int64_t j = 0; j < layout.columns; ++j) {
      to[j] = ScaleAt(layout, scales, first + i, j) * from[j];
    }
  }
}

// Rounds the 8 x padded_columns block to codewords in place.
void EncodeBlock(const Codebook& lattice, base::Bits bits, linalg::MatrixF& block,
                 std::uint32_t* codes) {
  const auto columns = static_cast<std::size_t>(block.columns());
  if (bits.value() == 4) return lattice.Encode(block.data(), columns, columns, codes, block.data());
  for (std::size_t i = 0; i < kCodeDimension * columns; ++i) {
    codes[i] = EncodeScalar(block.data()[i], bits);
    block.data()[i] = DecodeScalar(codes[i], bits);
  }
}

void DecodeBlock(const Codebook& lattice, base::Bits bits, const std::uint32_t* codes,
                 linalg::MatrixF& block) {
  const auto columns = static_cast<std::size_t>(block.columns());
  if (bits.value() == 4) return lattice.Decode({codes, 1, columns, columns}, block.data(), columns);
  for (std::size_t i = 0; i < kCodeDimension * columns; ++i) {
    block.data()[i] = DecodeScalar(codes[i], bits);
  }
}

absl::Status Quantise(const Layout& layout, linalg::ConstViewF factor,
                      std::span<const float> scales, std::span<std::uint32_t> codes,
                      linalg::ViewF decoded) {
  CALDERA_RETURN_IF_ERROR(CheckSizes(layout, scales.size(), codes.size()));
  const bool wants_decoded = decoded.data != nullptr;
  if (wants_decoded && (decoded.rows != factor.rows || decoded.columns != factor.columns)) {
    return base::InvalidArgument("decoded factor is {} x {}, expected {} x {}", decoded.rows,
                                 decoded.columns, factor.rows, factor.columns);
  }
  CALDERA_ASSIGN_OR_RETURN(const Codebook* lattice,
                           FindCodebook(model::CodebookKind::kE8P, base::Bits(4)));
  kernels::ParallelFor(layout.blocks(), [&](std::int64_t block) {
    linalg::MatrixF values = NormalisedBlock(layout, factor, scales, block);
    EncodeBlock(*lattice, layout.bits, values, codes.data() + block * layout.codes_per_block());
    if (wants_decoded) StoreBlock(layout, values.view(), scales, block, decoded);
  });
  return absl::OkStatus();
}

absl::Status Dequantise(const Layout& layout, std::span<const std::uint32_t> codes,
                        std::span<const float> scales, linalg::ViewF out) {
  CALDERA_RETURN_IF_ERROR(CheckSizes(layout, scales.size(), codes.size()));
  CALDERA_ASSIGN_OR_RETURN(const Codebook* lattice,
                           FindCodebook(model::CodebookKind::kE8P, base::Bits(4)));
  kernels::ParallelFor(layout.blocks(), [&](std::int64_t block) {
    linalg::MatrixF values(kBlockRows, layout.padded_columns);
    DecodeBlock(*lattice, layout.bits, codes.data() + block * layout.codes_per_block(), values);
    StoreBlock(layout, values.view(), scales, block, out);
  });
  return absl::OkStatus();
}

void Add(float value, FactorStatistics& statistics) {
  const double wide = value;
  statistics.sum_of_squares += wide * wide;
  statistics.largest_magnitude = std::max(statistics.largest_magnitude, std::abs(wide));
}

}  // namespace

std::vector<FactorStatistics> StatisticsOfColumns(linalg::ConstViewF l) {
  std::vector<FactorStatistics> statistics(static_cast<std::size_t>(l.columns));
  for (std::int64_t i = 0; i < l.rows; ++i) {
    for (std::int64_t k = 0; k < l.columns; ++k) {
      Add(l.row(i)[k], statistics[static_cast<std::size_t>(k)]);
    }
  }
  return statistics;
}

std::vector<FactorStatistics> StatisticsOfRows(linalg::ConstViewF r) {
  std::vector<FactorStatistics> statistics(static_cast<std::size_t>(r.rows));
  for (std::int64_t k = 0; k < r.rows; ++k) {
    for (std::int64_t j = 0; j < r.columns; ++j) {
      Add(r.row(k)[j], statistics[static_cast<std::size_t>(k)]);
    }
  }
  return statistics;
}

float ScaleOf(const FactorStatistics& statistics, std::int64_t count, base::Bits bits) {
  if (statistics.largest_magnitude == 0 || count == 0) return 0;
  const double rms = std::sqrt(statistics.sum_of_squares / static_cast<double>(count));
  switch (bits.value()) {
    case 4:
      return static_cast<float>(rms / 0.90);
    case 8:
      return static_cast<float>(statistics.largest_magnitude / kLargestInt8);
    default:
      return static_cast<float>(std::exp2(std::nearbyint(std::log2(rms))));
  }
}

std::vector<float> ScalesOf(std::span<const FactorStatistics> statistics, std::int64_t count,
                            base::Bits bits) {
  std::vector<float> scales;
  scales.reserve(statistics.size());
  for (const FactorStatistics& one : statistics) scales.push_back(ScaleOf(one, count, bits));
  return scales;
}

std::int64_t LCodeCount(std::int64_t rows, std::int64_t columns, base::Bits bits) {
  return LayoutOfL(rows, columns, bits).code_count();
}

std::int64_t RCodeCount(std::int64_t rows, std::int64_t columns, base::Bits bits) {
  return LayoutOfR(rows, columns, bits).code_count();
}

absl::Status QuantiseL(linalg::ConstViewF l, base::Bits bits, std::span<const float> scales,
                       std::span<std::uint32_t> codes, linalg::ViewF decoded) {
  return Quantise(LayoutOfL(l.rows, l.columns, bits), l, scales, codes, decoded);
}

absl::Status QuantiseR(linalg::ConstViewF r, base::Bits bits, std::span<const float> scales,
                       std::span<std::uint32_t> codes, linalg::ViewF decoded) {
  return Quantise(LayoutOfR(r.rows, r.columns, bits), r, scales, codes, decoded);
}

absl::Status DequantiseL(std::span<const std::uint32_t> codes, base::Bits bits,
                         std::span<const float> scales, linalg::ViewF out) {
  return Dequantise(LayoutOfL(out.rows, out.columns, bits), codes, scales, out);
}

absl::Status DequantiseR(std::span<const std::uint32_t> codes, base::Bits bits,
                         std::span<const float> scales, linalg::ViewF out) {
  return Dequantise(LayoutOfR(out.rows, out.columns, bits), codes, scales, out);
}

absl::StatusOr<FactorCodes> EncodeL(linalg::ConstViewF l, base::Bits bits, linalg::ViewF decoded) {
  FactorCodes result;
  result.scale = ScalesOf(StatisticsOfColumns(l), l.rows, bits);
  result.codes.resize(static_cast<std::size_t>(LCodeCount(l.rows, l.columns, bits)));
  CALDERA_RETURN_IF_ERROR(QuantiseL(l, bits, result.scale, result.codes, decoded));
  return result;
}

absl::StatusOr<FactorCodes> EncodeR(linalg::ConstViewF r, base::Bits bits, linalg::ViewF decoded) {
  FactorCodes result;
  result.scale = ScalesOf(StatisticsOfRows(r), r.columns, bits);
  result.codes.resize(static_cast<std::size_t>(RCodeCount(r.rows, r.columns, bits)));
  CALDERA_RETURN_IF_ERROR(QuantiseR(r, bits, result.scale, result.codes, decoded));
  return result;
}

}  // namespace caldera::lattice
