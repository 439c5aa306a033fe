// Embedding and head rows at 8 bits: one int8 per value and one IEEE half scale per row.
//
//   x(i, j) ~ codes(i, j) * scale(i),  scale(i) = the smallest half >= max_j |x(i, j)| / 127
//
// so that |x - decoded| <= scale / 2 (plus one float32 rounding) and no code is clamped. At rest:
// `NAME.codes` I8 [rows, columns] and `NAME.scale` F16 [rows] (docs/formats/checkpoint.md).
// Thread rule: pure functions.
#ifndef CALDERA_COMMON_MODEL_EMBEDDING_CODE_H_
#define CALDERA_COMMON_MODEL_EMBEDDING_CODE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

// Coded rows in memory; `codes` row-major, rows x columns; `scales` half bits, one per row.
struct EmbeddingCode {
  std::int64_t columns = 0;
  std::vector<std::int8_t> codes;
  std::vector<std::uint16_t> scales;

  std::int64_t rows() const { return static_cast<std::int64_t>(scales.size()); }
};

// Codes values.size() / columns rows of `columns` values. INVALID_ARGUMENT (naming row and column)
// for NaN and infinity, for a row whose scale would exceed the largest half (65504), and when
// values.size() is not a multiple of `columns`. An all-zero row has scale 0 and codes 0.
absl::StatusOr<EmbeddingCode> EncodeEmbedding(std::span<const float> values, std::int64_t columns);

// The inverse, rows one after another into `out` (codes.size() values). INVALID_ARGUMENT when the
// sizes do not fit: codes.size() == scales.size() * columns == out.size().
absl::Status DecodeEmbedding(std::span<const std::int8_t> codes,
                             std::span<const std::uint16_t> scales, std::int64_t columns,
                             std::span<float> out);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_EMBEDDING_CODE_H_
