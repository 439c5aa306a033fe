#include "numerics/kernels/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace caldera::kernels::reference {
namespace {

// One block of values `step` apart: butterflies from the nearest neighbours outwards, then the
// scale.
void TransformBlock(float* x, std::size_t step, std::size_t block) {
  for (std::size_t half = 1; half < block; half *= 2) {
    for (std::size_t i = 0; i < block; ++i) {
      if ((i & half) != 0) continue;
      const float a = x[i * step];
      const float b = x[(i + half) * step];
      x[i * step] = a + b;
      x[(i + half) * step] = a - b;
    }
  }
  const float scale = 1.0F / std::sqrt(static_cast<float>(block));
  for (std::size_t i = 0; i < block; ++i) x[i * step] *= scale;
}

// `count` values `step` apart: signs and blocks in the order that the direction asks for.
struct Line {
  float* x;
  std::size_t count;
  std::size_t step;
};

void ApplySigns(Line line, const float* signs) {
  if (signs == nullptr) return;
  for (std::size_t i = 0; i < line.count; ++i) line.x[i * line.step] *= signs[i];
}

void TransformLine(Line line, std::size_t block, const float* signs, Direction direction) {
  if (direction == Direction::kForward) ApplySigns(line, signs);
  for (std::size_t i = 0; i < line.count; i += block) {
    TransformBlock(line.x + i * line.step, line.step, block);
  }
  if (direction == Direction::kInverse) ApplySigns(line, signs);
}

}  // namespace

void HadamardAlongRows(RowWindow window, std::size_t block, const float* signs,
                       Direction direction) {
  for (std::size_t i = 0; i < window.rows; ++i) {
    TransformLine({window.data + i * window.stride, window.columns, 1}, block, signs, direction);
  }
}

void HadamardAcrossRows(RowWindow window, std::size_t block, const float* signs,
                        Direction direction) {
  for (std::size_t j = 0; j < window.columns; ++j) {
    TransformLine({window.data + j, window.rows, window.stride}, block, signs, direction);
  }
}

// value = mantissa * 2^(exponent - 25), read field by field.
void Float16ToFloat(const std::uint16_t* in, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const int exponent = (in[i] >> 10) & 31;
    const int mantissa = in[i] & 1023;
    float value = 0;
    if (exponent == 31) {
      value = mantissa == 0 ? std::numeric_limits<float>::infinity()
                            : std::numeric_limits<float>::quiet_NaN();
    } else if (exponent == 0) {
      value = std::ldexp(static_cast<float>(mantissa), -24);
    } else {
      value = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
    }
    out[i] = (in[i] & 0x8000) != 0 ? -value : value;
  }
}

void FloatToFloat16(const float* in, std::size_t count, std::uint16_t* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t sign = (std::bit_cast<std::uint32_t>(in[i]) >> 16) & 0x8000U;
    const float size = std::fabs(in[i]);
    std::uint32_t bits = 0;
    if (std::isnan(in[i])) {
      bits = 0x7E00U;
    } else if (size >= 65520.0F) {
      bits = 0x7C00U;
    } else if (size != 0) {
      // In units of the last place of its binade; rounding up may carry into the exponent, as it
      // should.
      const int exponent = std::max(std::ilogb(size), -14);
      const auto units =
          static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));
      bits = (static_cast<std::uint32_t>(exponent + 14) << 10) + units;
    }
    out[i] = static_cast<std::uint16_t>(sign | bits);
  }
}

void BFloat16ToFloat(const std::uint16_t* in, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(in[i]) << 16);
  }
}

void FloatToBFloat16(const float* in, std::size_t count, std::uint16_t* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(in[i]);
    const std::uint32_t kept = bits >> 16;
    const std::uint32_t dropped = bits & 0xFFFFU;
    const bool up = dropped > 0x8000U || (dropped == 0x8000U && (kept & 1U) != 0);
    out[i] = static_cast<std::uint16_t>(std::isnan(in[i]) ? (kept | 0x40U) : kept + (up ? 1U : 0U));
  }
}

void RmsNorm(const float* x, const float* weight, std::size_t count, float epsilon, float* out) {
  const double mean = DotDouble(x, x, count) / static_cast<double>(count);
  const double scale = 1.0 / std::sqrt(mean + static_cast<double>(epsilon));
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(x[i] * scale) * weight[i];
}

void RotateHalf(float* x, const float* cosine, const float* sine, std::size_t half) {
  for (std::size_t i = 0; i < half; ++i) {
    const double a = x[i];
    const double b = x[half + i];
    x[i] = static_cast<float>(a * cosine[i] - b * sine[i]);
    x[half + i] = static_cast<float>(b * cosine[i] + a * sine[i]);
  }
}

void SiluTimes(const float* gate, const float* up, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const double z = gate[i];
    out[i] = static_cast<float>(z / (1.0 + std::exp(-z)) * up[i]);
  }
}

void Softmax(float* x, std::size_t count) {
  const double log_sum = LogSumExp(x, count);
  for (std::size_t i = 0; i < count; ++i) x[i] = static_cast<float>(std::exp(x[i] - log_sum));
}

double LogSumExp(const float* x, std::size_t count) {
  if (count == 0) return -std::numeric_limits<double>::infinity();
  const double largest = *std::max_element(x, x + count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += std::exp(x[i] - largest);
  return largest + std::log(sum);
}

float Dot(const float* x, const float* y, std::size_t count) {
  return static_cast<float>(DotDouble(x, y, count));
}

double DotDouble(const float* x, const float* y, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  }
  return sum;
}

void Axpy(float alpha, const float* x, std::size_t count, float* y) {
  for (std::size_t i = 0; i < count; ++i) y[i] += alpha * x[i];
}

float MaxAbs(const float* x, std::size_t count) {
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

bool IsFinite(const float* x, std::size_t count) {
  return std::all_of(x, x + count, [](float value) { return std::isfinite(value); });
}

void AddRounded(const float* x, std::size_t count, double shift, double* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    const double shifted = static_cast<double>(x[i]) + shift;
    sums[i] += shifted - shift;
  }
}

void AddRounded(const double* x, std::size_t count, double shift, double* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    const double shifted = x[i] + shift;
    sums[i] += shifted - shift;
  }
}

}  // namespace caldera::kernels::reference
