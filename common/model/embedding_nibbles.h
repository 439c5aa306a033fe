// Embedding and head rows at 4 bits: 16 levels of fixed ratios, an IEEE half scale for each
// kNibbleGroup columns of a row, and one for each column of the table (docs/formats/checkpoint.md).
//
//   x(i, j) ~ sign kNibbleLevels[code & 7] scale(i, j / kNibbleGroup) column_scale(j),
//   sign = -1 if code & 8
//
// Two codes share a byte, the even column's in bits 0-3; a row of an odd number of columns ends
// with four zero bits. The product of any two of the three factors is exact in float32, so a
// decoded value is the exact product rounded once, in whatever order a reader multiplies. Why
// column scales: docs/decisions/0009-embeddings-at-4-bits.md. Thread rule: pure functions.
#ifndef CALDERA_COMMON_MODEL_EMBEDDING_NIBBLES_H_
#define CALDERA_COMMON_MODEL_EMBEDDING_NIBBLES_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

inline constexpr std::int64_t kNibbleGroup = 32;
// The magnitudes: those of the Lloyd-Max quantiser of the normal distribution in 1/64.
inline constexpr std::array<float, 8> kNibbleLevels = {8 / 64.0F,   25 / 64.0F, 42 / 64.0F,
                                                       60 / 64.0F,  80 / 64.0F, 104 / 64.0F,
                                                       132 / 64.0F, 175 / 64.0F};

// Bytes of codes and number of scales of a row of `columns` values.
constexpr std::int64_t NibbleBytes(std::int64_t columns) { return (columns + 1) / 2; }
constexpr std::int64_t NibbleScales(std::int64_t columns) {
  return (columns + kNibbleGroup - 1) / kNibbleGroup;
}

// Coded rows in memory, row-major: rows x NibbleBytes, rows x NibbleScales (half bits).
struct NibbleCode {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint16_t> scales;
};

// What the encoder knows of the columns of a table.
struct NibbleColumns {
  std::vector<std::uint16_t> scales;  // half bits
  std::vector<float> weights;         // what an error of value / scale counts
};

// First pass of the encoder: the rms of each column.
class ColumnPowers {
 public:
  explicit ColumnPowers(std::int64_t columns);
  // The next rows. INVALID_ARGUMENT names row (counted from the first call) and column of a value
  // that is not finite, or says that the values are no whole rows.
  absl::Status Add(std::span<const float> values);
  // `importance`: by what a column is multiplied where the table is used, for a head the weights of
  // the norm before it; empty: all the same. The scale of a column is sqrt(rms / |importance|): of
  // all scales it makes the summed error of column times importance least, if a group's step is in
  // proportion to the rms of its value / scale. An importance below 1/8 of their rms counts as
  // that. INVALID_ARGUMENT names a column whose importance is not finite or whose scale would
  // exceed the largest half.
  absl::StatusOr<NibbleColumns> Plan(std::span<const float> importance) const;

 private:
  std::int64_t rows_ = 0;
  std::vector<double> sums_;  // of squares
};

// Second pass: codes rows of finite values; the scale of each group is searched for least squared
// error with the columns' weights. INVALID_ARGUMENT when the values are no whole rows, and naming
// row and columns for a group whose scale would exceed the largest half (65504). A group of zeros
// has scale 0 and codes 0.
absl::StatusOr<NibbleCode> EncodeNibbles(std::span<const float> values,
                                         const NibbleColumns& columns);

// The inverse, rows one after another into `out` (rows x columns values), with the column scales as
// float32. INVALID_ARGUMENT when the sizes do not fit.
absl::Status DecodeNibbles(std::span<const std::uint8_t> codes,
                           std::span<const std::uint16_t> scales,
                           std::span<const float> column_scales, std::span<float> out);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_EMBEDDING_NIBBLES_H_
