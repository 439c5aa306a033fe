#include "common/model/embedding_code.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "common/model/dtype.h"

namespace caldera::model {
namespace {

constexpr int kLargestCode = 127;
constexpr std::uint16_t kHalfInfinity = 0x7c00;

absl::StatusOr<float> LargestMagnitude(std::span<const float> row, std::int64_t index) {
  float largest = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    if (!std::isfinite(row[j])) {
      return base::InvalidArgument("row {}, column {}: value {} is not finite", index, j, row[j]);
    }
    largest = std::max(largest, std::fabs(row[j]));
  }
  return largest;
}

// Positive halves are ordered like their bits, so the next larger half is the next integer.
std::uint16_t SmallestHalfNotBelow(float value) {
  const std::uint16_t nearest = FloatToHalf(value);
  const bool below = HalfToFloat(nearest) < value;
  return below ? static_cast<std::uint16_t>(nearest + 1) : nearest;
}

void EncodeRow(std::span<const float> row, float scale, std::int8_t* codes) {
  for (std::size_t j = 0; j < row.size(); ++j) {
    codes[j] = scale == 0 ? std::int8_t{0} : static_cast<std::int8_t>(std::lrint(row[j] / scale));
  }
}

}  // namespace

absl::StatusOr<EmbeddingCode> EncodeEmbedding(std::span<const float> values, std::int64_t columns) {
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(columns, 1));
  if (columns < 1 || values.size() % width != 0) {
    return base::InvalidArgument("{} values are not rows of {}", values.size(), columns);
  }
  EmbeddingCode code;
  code.columns = columns;
  code.codes.resize(values.size());
  code.scales.resize(values.size() / width);
  for (std::size_t i = 0; i < code.scales.size(); ++i) {
    const auto row = values.subspan(i * width, width);
    CALDERA_ASSIGN_OR_RETURN(const float largest,
                             LargestMagnitude(row, static_cast<std::int64_t>(i)));
    code.scales[i] = SmallestHalfNotBelow(largest / kLargestCode);
    if (code.scales[i] >= kHalfInfinity) {
      return base::InvalidArgument("row {}: magnitude {} is too large for a half scale", i,
                                   largest);
    }
    EncodeRow(row, HalfToFloat(code.scales[i]), code.codes.data() + i * width);
  }
  return code;
}

absl::Status DecodeEmbedding(std::span<const std::int8_t> codes,
                             std::span<const std::uint16_t> scales, std::int64_t columns,
                             std::span<float> out) {
  const auto width = static_cast<std::size_t>(columns);
  if (columns < 1 || codes.size() != scales.size() * width || out.size() != codes.size()) {
    return base::InvalidArgument("embedding of {} codes, {} scales, {} columns, {} values",
                                 codes.size(), scales.size(), columns, out.size());
  }
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const float scale = HalfToFloat(scales[i]);
    for (std::size_t j = i * width; j < (i + 1) * width; ++j) {
      out[j] = scale * static_cast<float>(codes[j]);
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::model
