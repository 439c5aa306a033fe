#include "numerics/kernels/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/transformer.cc"
// Highway wants this order.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
using Doubles = hn::ScalableTag<double>;
using HalfFloats = hn::Rebind<float, Doubles>;

constexpr std::size_t kMaxLanes = HWY_MAX_BYTES / sizeof(float);

// A last, partial register: `count` values, then `padding`.
HWY_INLINE Vector LoadTail(const float* x, std::size_t count, float padding) {
  HWY_ALIGN float padded[kMaxLanes];
  std::fill(padded, padded + kMaxLanes, padding);
  std::memcpy(padded, x, count * sizeof(float));
  return hn::Load(Floats(), padded);
}

HWY_INLINE void StoreTail(Vector v, std::size_t count, float* out) {
  HWY_ALIGN float padded[kMaxLanes];
  hn::Store(v, Floats(), padded);
  std::memcpy(out, padded, count * sizeof(float));
}

// out[i] = function(x[i], y[i]), register by register.
template <typename Function>
HWY_INLINE void Map(const float* x, const float* y, std::size_t count, float* out,
                    Function function) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(function(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, out + i);
  }
  if (i == count) return;
  const std::size_t rest = count - i;
  StoreTail(function(LoadTail(x + i, rest, 0), LoadTail(y + i, rest, 0)), rest, out + i);
}

float DotFloats(const float* x, const float* y, std::size_t count) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  // Four sums in flight hide the latency of the multiply-adds.
  Vector sum0 = hn::Zero(d);
  Vector sum1 = sum0;
  Vector sum2 = sum0;
  Vector sum3 = sum0;
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, x + i + lanes), hn::LoadU(d, y + i + lanes), sum1);
    sum2 = hn::MulAdd(hn::LoadU(d, x + i + 2 * lanes), hn::LoadU(d, y + i + 2 * lanes), sum2);
    sum3 = hn::MulAdd(hn::LoadU(d, x + i + 3 * lanes), hn::LoadU(d, y + i + 3 * lanes), sum3);
  }
  for (; i + lanes <= count; i += lanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), sum0);
  }
  if (i < count) {
    sum1 = hn::MulAdd(LoadTail(x + i, count - i, 0), LoadTail(y + i, count - i, 0), sum1);
  }
  const Vector sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

double DotDoubles(const float* x, const float* y, std::size_t count) {
  const Doubles d;
  const HalfFloats half;
  const std::size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = sum0;
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    sum0 = hn::MulAdd(hn::PromoteTo(d, hn::LoadU(half, x + i)),
                      hn::PromoteTo(d, hn::LoadU(half, y + i)), sum0);
    sum1 = hn::MulAdd(hn::PromoteTo(d, hn::LoadU(half, x + i + lanes)),
                      hn::PromoteTo(d, hn::LoadU(half, y + i + lanes)), sum1);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

void Normalize(const float* x, const float* weight, std::size_t count, float epsilon, float* out) {
  if (count == 0) return;
  const double mean = DotDoubles(x, x, count) / static_cast<double>(count);
  const Vector scale =
      hn::Set(Floats(), static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon))));
  Map(x, weight, count, out,
      [scale](Vector value, Vector w) HWY_ATTR { return hn::Mul(hn::Mul(value, scale), w); });
}

void Rotate(float* x, const float* cosine, const float* sine, std::size_t half) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  float* upper = x + half;
  std::size_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const Vector a = hn::LoadU(d, x + i);
    const Vector b = hn::LoadU(d, upper + i);
    const Vector c = hn::LoadU(d, cosine + i);
    const Vector s = hn::LoadU(d, sine + i);
    hn::StoreU(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, x + i);
    hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), d, upper + i);
  }
  if (i == half) return;
  const std::size_t rest = half - i;
  const Vector a = LoadTail(x + i, rest, 0);
  const Vector b = LoadTail(upper + i, rest, 0);
  const Vector c = LoadTail(cosine + i, rest, 0);
  const Vector s = LoadTail(sine + i, rest, 0);
  StoreTail(hn::NegMulAdd(b, s, hn::Mul(a, c)), rest, x + i);
  StoreTail(hn::MulAdd(a, s, hn::Mul(b, c)), rest, upper + i);
}

void Silu(const float* gate, const float* up, std::size_t count, float* out) {
  Map(gate, up, count, out, [](Vector z, Vector u) HWY_ATTR {
    const Floats d;
    const Vector denominator = hn::Add(hn::Set(d, 1.0F), hn::Exp(d, hn::Neg(z)));
    return hn::Mul(hn::Div(z, denominator), u);
  });
}

float Largest(const float* x, std::size_t count) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Vector largest = hn::Set(d, kLowest);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) largest = hn::Max(largest, hn::LoadU(d, x + i));
  if (i < count) largest = hn::Max(largest, LoadTail(x + i, count - i, kLowest));
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// out = exp(x - shift).
void ShiftedExp(const float* x, std::size_t count, float shift, float* out) {
  const Vector by = hn::Set(Floats(), shift);
  Map(x, x, count, out,
      [by](Vector value, Vector) HWY_ATTR { return hn::Exp(Floats(), hn::Sub(value, by)); });
}

double SumDoubles(const float* x, std::size_t count) {
  const Doubles d;
  const HalfFloats half;
  const std::size_t lanes = hn::Lanes(d);
  auto sums = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    sums = hn::Add(sums, hn::PromoteTo(d, hn::LoadU(half, x + i)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < count; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

void NormalizedExp(float* x, std::size_t count) {
  if (count == 0) return;
  ShiftedExp(x, count, Largest(x, count), x);
  const Vector scale = hn::Set(Floats(), static_cast<float>(1.0 / SumDoubles(x, count)));
  Map(x, x, count, x, [scale](Vector value, Vector) HWY_ATTR { return hn::Mul(value, scale); });
}

double LogOfSum(const float* x, std::size_t count) {
  constexpr std::size_t kChunk = 1024;
  if (count == 0) return -std::numeric_limits<double>::infinity();
  const float shift = Largest(x, count);
  if (std::isinf(shift)) return static_cast<double>(shift);
  float exponentials[kChunk];
  double sum = 0;
  for (std::size_t i = 0; i < count; i += kChunk) {
    const std::size_t length = std::min(kChunk, count - i);
    ShiftedExp(x + i, length, shift, exponentials);
    sum += SumDoubles(exponentials, length);
  }
  return static_cast<double>(shift) + std::log(sum);
}

void AddScaled(float alpha, const float* x, std::size_t count, float* y) {
  const Vector factor = hn::Set(Floats(), alpha);
  Map(x, y, count, y,
      [factor](Vector value, Vector sum) HWY_ATTR { return hn::MulAdd(factor, value, sum); });
}

float LargestAbs(const float* x, std::size_t count) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  Vector largest = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i)));
  if (i < count) largest = hn::Max(largest, hn::Abs(LoadTail(x + i, count - i, 0)));
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

bool AllFinite(const float* x, std::size_t count) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    if (!hn::AllTrue(d, hn::IsFinite(hn::LoadU(d, x + i)))) return false;
  }
  return i == count || hn::AllTrue(d, hn::IsFinite(LoadTail(x + i, count - i, 0)));
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(DotFloats);
HWY_EXPORT(DotDoubles);
HWY_EXPORT(Normalize);
HWY_EXPORT(Rotate);
HWY_EXPORT(Silu);
HWY_EXPORT(NormalizedExp);
HWY_EXPORT(LogOfSum);
HWY_EXPORT(AddScaled);
HWY_EXPORT(LargestAbs);
HWY_EXPORT(AllFinite);

void RmsNorm(const float* x, const float* weight, std::size_t count, float epsilon, float* out) {
  HWY_DYNAMIC_DISPATCH(Normalize)(x, weight, count, epsilon, out);
}
void RotateHalf(float* x, const float* cosine, const float* sine, std::size_t half) {
  HWY_DYNAMIC_DISPATCH(Rotate)(x, cosine, sine, half);
}
void SiluTimes(const float* gate, const float* up, std::size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Silu)(gate, up, count, out);
}
void Softmax(float* x, std::size_t count) { HWY_DYNAMIC_DISPATCH(NormalizedExp)(x, count); }
double LogSumExp(const float* x, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(LogOfSum)(x, count);
}
float Dot(const float* x, const float* y, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(DotFloats)(x, y, count);
}
double DotDouble(const float* x, const float* y, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(DotDoubles)(x, y, count);
}
void Axpy(float alpha, const float* x, std::size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddScaled)(alpha, x, count, y);
}
float MaxAbs(const float* x, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(LargestAbs)(x, count);
}
bool IsFinite(const float* x, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(AllFinite)(x, count);
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
