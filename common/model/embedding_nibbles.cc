#include "common/model/embedding_nibbles.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "common/model/dtype.h"

namespace caldera::model {
namespace {

constexpr std::size_t kGroup = kNibbleGroup;
constexpr std::size_t kLanes = 8;  // of independent sums
constexpr std::uint8_t kNegative = 8;
constexpr std::uint16_t kHalfInfinity = 0x7c00;
constexpr double kLeastImportance = 0.125;
// Scales that are tried: these shares of the one that takes the largest magnitude to the last
// level.
constexpr std::array<float, 9> kShares = {0.6F,   0.675F, 0.75F,  0.825F, 0.9F,
                                          0.975F, 1.05F,  1.125F, 1.2F};
static_assert(kGroup % kLanes == 0 && kGroup % 2 == 0);

constexpr std::size_t kThresholdCount = kNibbleLevels.size() - 1;

// Between thresholds k - 1 and k a magnitude is nearest to level k.
constexpr std::array<float, kThresholdCount> kThresholds = [] {
  std::array<float, kThresholdCount> thresholds{};
  for (std::size_t k = 0; k < kThresholdCount; ++k) {
    thresholds[k] = (kNibbleLevels[k] + kNibbleLevels[k + 1]) / 2;
  }
  return thresholds;
}();

// The two values of a byte of codes, without their scales.
constexpr std::array<std::array<float, 2>, 256> kPairs = [] {
  std::array<std::array<float, 2>, 256> pairs{};
  for (std::size_t byte = 0; byte < pairs.size(); ++byte) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t code = byte >> (4 * half) & 15;
      pairs[byte][half] = code < kNegative ? kNibbleLevels[code] : -kNibbleLevels[code - kNegative];
    }
  }
  return pairs;
}();

// A group's values over their column scales; zeros behind the last value and where that is 0.
struct Group {
  std::array<float, kGroup> values{};
  std::array<float, kGroup> magnitudes{};
  std::array<float, kGroup> weights{};
};

// Columns first .. first + count of the table.
struct Columns {
  std::size_t first = 0;
  std::size_t count = 0;
};

Group MakeGroup(std::span<const float> row, const NibbleColumns& columns, Columns part) {
  Group group;
  for (std::size_t j = 0; j < part.count; ++j) {
    const float scale = HalfToFloat(columns.scales[part.first + j]);
    if (scale == 0) continue;
    group.values[j] = row[part.first + j] / scale;
    group.magnitudes[j] = std::fabs(group.values[j]);
    group.weights[j] = columns.weights[part.first + j];
  }
  return group;
}

// With q the levels nearest to the magnitudes x / scale: weighted sums of x q and q q. The scale of
// least error for these q is xq / qq; the error is then smaller than that of zeros by xq^2 / qq.
struct Fit {
  float xq = 0;
  float qq = 1;

  float scale() const { return xq / qq; }
  float gain() const { return xq / qq * xq; }
};

// Loops over lanes of constant length: the compiler makes vectors of them.
Fit FitAt(const Group& group, float scale) {
  using Lanes = std::array<float, kLanes>;
  const float inverse = 1 / scale;
  Lanes xq{};
  Lanes qq{};
  for (std::size_t first = 0; first < kGroup; first += kLanes) {
    const float* x = group.magnitudes.data() + first;
    const float* weight = group.weights.data() + first;
    Lanes t;
    Lanes q;
    for (std::size_t l = 0; l < kLanes; ++l) t[l] = x[l] * inverse;
    for (std::size_t l = 0; l < kLanes; ++l) q[l] = kNibbleLevels[0];
    for (std::size_t k = 0; k < kThresholdCount; ++k) {
      const float step = kNibbleLevels[k + 1] - kNibbleLevels[k];
      for (std::size_t l = 0; l < kLanes; ++l) q[l] += t[l] > kThresholds[k] ? step : 0.0F;
    }
    for (std::size_t l = 0; l < kLanes; ++l) xq[l] += x[l] * (q[l] * weight[l]);
    for (std::size_t l = 0; l < kLanes; ++l) qq[l] += q[l] * (q[l] * weight[l]);
  }
  Fit fit{0, 0};
  for (std::size_t l = 0; l < kLanes; ++l) fit.xq += xq[l];
  for (std::size_t l = 0; l < kLanes; ++l) fit.qq += qq[l];
  return fit;
}

// The half scale of a group: 0 for zeros, kHalfInfinity when none is large enough.
std::uint16_t BestScale(const Group& group) {
  const float largest = *std::max_element(group.magnitudes.begin(), group.magnitudes.end());
  if (largest == 0) return 0;
  Fit best;
  for (const float share : kShares) {
    const Fit fit = FitAt(group, share * largest / kNibbleLevels.back());
    if (fit.gain() > best.gain()) best = fit;
  }
  const Fit again = FitAt(group, best.scale());
  if (again.gain() > best.gain()) best = again;
  return std::min(FloatToHalf(best.scale()), kHalfInfinity);
}

std::uint8_t CodeOf(float value, float inverse) {
  std::uint8_t code = value < 0 ? kNegative : 0;
  for (const float threshold : kThresholds) {
    if (std::fabs(value) * inverse > threshold) ++code;
  }
  return code;
}

// Codes of a group into zero bytes.
void EncodeGroup(const Group& group, std::uint16_t scale, std::span<std::uint8_t> codes) {
  if (scale == 0) return;
  const float inverse = 1 / HalfToFloat(scale);
  for (std::size_t k = 0; k < codes.size(); ++k) {
    const std::uint8_t even = CodeOf(group.values[2 * k], inverse);
    const std::uint8_t odd = CodeOf(group.values[2 * k + 1], inverse);
    codes[k] = static_cast<std::uint8_t>(even | odd << 4);
  }
}

void DecodeGroup(std::span<const std::uint8_t> codes, float scale, const float* column_scales,
                 std::span<float> out) {
  const std::size_t pairs = out.size() / 2;
  for (std::size_t k = 0; k < pairs; ++k) {
    const std::array<float, 2>& levels = kPairs[codes[k]];
    out[2 * k] = scale * levels[0] * column_scales[2 * k];
    out[2 * k + 1] = scale * levels[1] * column_scales[2 * k + 1];
  }
  if (out.size() % 2 != 0) {
    out.back() = scale * kPairs[codes.back()][0] * column_scales[out.size() - 1];
  }
}

std::size_t Size(std::int64_t size) { return static_cast<std::size_t>(size); }

// Magnitudes, none below kLeastImportance of their rms; ones for an empty span.
absl::StatusOr<std::vector<double>> ImportanceOf(std::span<const float> importance,
                                                 std::size_t columns) {
  if (!importance.empty() && importance.size() != columns) {
    return base::InvalidArgument("importance of {} columns, but there are {}", importance.size(),
                                 columns);
  }
  std::vector<double> factors(columns, 1.0);
  double sum = 0;
  for (std::size_t j = 0; j < importance.size(); ++j) {
    if (!std::isfinite(importance[j])) {
      return base::InvalidArgument("column {}: importance {} is not finite", j, importance[j]);
    }
    factors[j] = std::fabs(importance[j]);
    sum += factors[j] * factors[j];
  }
  if (sum == 0) return std::vector<double>(columns, 1.0);
  const double least = kLeastImportance * std::sqrt(sum / static_cast<double>(columns));
  for (double& factor : factors) factor = std::max(factor, least);
  return factors;
}

}  // namespace

ColumnPowers::ColumnPowers(std::int64_t columns) : sums_(Size(columns)) {}

absl::Status ColumnPowers::Add(std::span<const float> values) {
  if (sums_.empty() || values.size() % sums_.size() != 0) {
    return base::InvalidArgument("{} values are not rows of {}", values.size(), sums_.size());
  }
  for (; !values.empty(); values = values.subspan(sums_.size()), ++rows_) {
    for (std::size_t j = 0; j < sums_.size(); ++j) {
      if (!std::isfinite(values[j])) {
        return base::InvalidArgument("row {}, column {}: value {} is not finite", rows_, j,
                                     values[j]);
      }
      sums_[j] += double{values[j]} * values[j];
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<NibbleColumns> ColumnPowers::Plan(std::span<const float> importance) const {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<double> factors,
                           ImportanceOf(importance, sums_.size()));
  NibbleColumns columns;
  for (std::size_t j = 0; j < sums_.size(); ++j) {
    const double rms = std::sqrt(sums_[j] / static_cast<double>(std::max<std::int64_t>(rows_, 1)));
    const std::uint16_t scale = FloatToHalf(static_cast<float>(std::sqrt(rms / factors[j])));
    if (scale >= kHalfInfinity) {
      return base::InvalidArgument("column {}: rms {} is too large for a half scale", j, rms);
    }
    const double root = HalfToFloat(scale) * factors[j];
    columns.scales.push_back(scale);
    columns.weights.push_back(static_cast<float>(root * root));
  }
  return columns;
}

absl::StatusOr<NibbleCode> EncodeNibbles(std::span<const float> values,
                                         const NibbleColumns& columns) {
  const std::size_t width = columns.scales.size();
  if (width == 0 || columns.weights.size() != width || values.size() % width != 0) {
    return base::InvalidArgument("{} values are not rows of {}", values.size(), width);
  }
  const std::size_t row_bytes = Size(NibbleBytes(static_cast<std::int64_t>(width)));
  NibbleCode code;
  code.codes.resize(values.size() / width * row_bytes);
  for (std::size_t i = 0; i < values.size() / width; ++i) {
    const auto row = values.subspan(i * width, width);
    const auto codes = std::span(code.codes).subspan(i * row_bytes, row_bytes);
    for (std::size_t first = 0; first < width; first += kGroup) {
      const Columns part{first, std::min(kGroup, width - first)};
      const Group group = MakeGroup(row, columns, part);
      code.scales.push_back(BestScale(group));
      if (code.scales.back() == kHalfInfinity) {
        return base::InvalidArgument("row {}, columns {} to {}: too large for a half scale", i,
                                     first, first + part.count - 1);
      }
      EncodeGroup(group, code.scales.back(), codes.subspan(first / 2, (part.count + 1) / 2));
    }
  }
  return code;
}

absl::Status DecodeNibbles(std::span<const std::uint8_t> codes,
                           std::span<const std::uint16_t> scales,
                           std::span<const float> column_scales, std::span<float> out) {
  const std::size_t columns = column_scales.size();
  const std::size_t row_bytes = Size(NibbleBytes(static_cast<std::int64_t>(columns)));
  const std::size_t row_scales = Size(NibbleScales(static_cast<std::int64_t>(columns)));
  const std::size_t rows = columns == 0 ? 0 : out.size() / columns;
  if (columns == 0 || out.size() != rows * columns || codes.size() != rows * row_bytes ||
      scales.size() != rows * row_scales) {
    return base::InvalidArgument("table of {} bytes of codes, {} scales, {} columns, {} values",
                                 codes.size(), scales.size(), columns, out.size());
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t g = 0; g < row_scales; ++g) {
      const std::size_t first = g * kGroup;
      const std::size_t count = std::min(kGroup, columns - first);
      DecodeGroup(codes.subspan(i * row_bytes + first / 2, (count + 1) / 2),
                  HalfToFloat(scales[i * row_scales + g]), column_scales.data() + first,
                  out.subspan(i * columns + first, count));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::model
