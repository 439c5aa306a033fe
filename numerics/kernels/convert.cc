#include "numerics/kernels/convert.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/convert.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Integer arithmetic on the bits, so that every instruction set rounds alike.
using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<std::uint16_t, Floats>;
using WordVector = hn::Vec<Words>;

HWY_INLINE WordVector Word(std::uint32_t value) { return hn::Set(Words(), value); }

// The exponent is rebiased by a multiplication with 2^112, which also normalises subnormals.
HWY_INLINE WordVector WidenFloat16(WordVector half) {
  const Floats d;
  const Words dw;
  const auto sign = hn::ShiftLeft<16>(hn::And(half, Word(0x8000)));
  const auto body = hn::And(half, Word(0x7FFF));
  const auto scaled =
      hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(body)), hn::BitCast(d, Word(0x77800000)));
  const auto special = hn::Or(Word(0x7F800000), hn::ShiftLeft<13>(body));
  const auto is_special = hn::Gt(body, Word(0x7BFF));
  const auto quiet = hn::IfThenElseZero(hn::Gt(body, Word(0x7C00)), Word(0x00400000));
  return hn::Or(sign, hn::IfThenElse(is_special, hn::Or(special, quiet), hn::BitCast(dw, scaled)));
}

HWY_INLINE WordVector NarrowFloat16(WordVector bits) {
  const Floats d;
  const Words dw;
  const auto sign = hn::ShiftRight<16>(hn::And(bits, Word(0x80000000)));
  const auto body = hn::And(bits, Word(0x7FFFFFFF));
  // Normal results: rebias, then round to even by adding 0xFFF and the last kept bit.
  const auto odd = hn::And(hn::ShiftRight<13>(body), Word(1));
  const auto normal = hn::ShiftRight<13>(hn::Add(hn::Add(body, Word(0xC8000FFF)), odd));
  // Subnormal results: adding 1/2 puts the last kept bit at the end of the mantissa.
  const auto shifted = hn::Add(hn::BitCast(d, body), hn::Set(d, 0.5F));
  const auto subnormal = hn::Sub(hn::BitCast(dw, shifted), Word(0x3F000000));
  auto result = hn::IfThenElse(hn::Lt(body, Word(0x38800000)), subnormal, normal);
  result = hn::IfThenElse(hn::Gt(body, Word(0x477FEFFF)), Word(0x7C00), result);
  result = hn::IfThenElse(hn::Gt(body, Word(0x7F800000)), Word(0x7E00), result);
  return hn::Or(sign, result);
}

HWY_INLINE WordVector NarrowBFloat16(WordVector bits) {
  const auto odd = hn::And(hn::ShiftRight<16>(bits), Word(1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, Word(0x7FFF)), odd));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), Word(0x40));
  const auto is_nan = hn::Gt(hn::And(bits, Word(0x7FFFFFFF)), Word(0x7F800000));
  return hn::IfThenElse(is_nan, quiet, rounded);
}

// out[i] = widen(in[i]); `widen` maps zero-extended 16-bit values to float bits.
template <typename Widen>
HWY_INLINE void WidenAll(const std::uint16_t* in, std::size_t count, float* out, Widen widen) {
  const Words dw;
  const Halves dh;
  const std::size_t lanes = hn::Lanes(dw);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = widen(hn::PromoteTo(dw, hn::LoadU(dh, in + i)));
    hn::StoreU(hn::BitCast(Floats(), bits), Floats(), out + i);
  }
  if (i == count) return;
  HWY_ALIGN std::uint16_t halves[HWY_MAX_BYTES] = {};
  HWY_ALIGN float floats[HWY_MAX_BYTES];
  std::memcpy(halves, in + i, (count - i) * sizeof(std::uint16_t));
  const auto bits = widen(hn::PromoteTo(dw, hn::Load(dh, halves)));
  hn::Store(hn::BitCast(Floats(), bits), Floats(), floats);
  std::memcpy(out + i, floats, (count - i) * sizeof(float));
}

// out[i] = narrow(bits of in[i]); results fit 16 bits.
template <typename Narrow>
HWY_INLINE void NarrowAll(const float* in, std::size_t count, std::uint16_t* out, Narrow narrow) {
  const Words dw;
  const Halves dh;
  const hn::RebindToSigned<Words> di;
  const std::size_t lanes = hn::Lanes(dw);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = narrow(hn::BitCast(dw, hn::LoadU(Floats(), in + i)));
    hn::StoreU(hn::DemoteTo(dh, hn::BitCast(di, bits)), dh, out + i);
  }
  if (i == count) return;
  HWY_ALIGN float floats[HWY_MAX_BYTES] = {};
  HWY_ALIGN std::uint16_t halves[HWY_MAX_BYTES];
  std::memcpy(floats, in + i, (count - i) * sizeof(float));
  const auto bits = narrow(hn::BitCast(dw, hn::Load(Floats(), floats)));
  hn::Store(hn::DemoteTo(dh, hn::BitCast(di, bits)), dh, halves);
  std::memcpy(out + i, halves, (count - i) * sizeof(std::uint16_t));
}

void WidenF16(const std::uint16_t* in, std::size_t count, float* out) {
  WidenAll(in, count, out, [](WordVector v) HWY_ATTR { return WidenFloat16(v); });
}

void NarrowF16(const float* in, std::size_t count, std::uint16_t* out) {
  NarrowAll(in, count, out, [](WordVector v) HWY_ATTR { return NarrowFloat16(v); });
}

void WidenBF16(const std::uint16_t* in, std::size_t count, float* out) {
  WidenAll(in, count, out, [](WordVector v) HWY_ATTR { return hn::ShiftLeft<16>(v); });
}

void NarrowBF16(const float* in, std::size_t count, std::uint16_t* out) {
  NarrowAll(in, count, out, [](WordVector v) HWY_ATTR { return NarrowBFloat16(v); });
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(WidenF16);
HWY_EXPORT(NarrowF16);
HWY_EXPORT(WidenBF16);
HWY_EXPORT(NarrowBF16);

void Float16ToFloat(const std::uint16_t* in, std::size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(WidenF16)(in, count, out);
}
void FloatToFloat16(const float* in, std::size_t count, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(NarrowF16)(in, count, out);
}
void BFloat16ToFloat(const std::uint16_t* in, std::size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(WidenBF16)(in, count, out);
}
void FloatToBFloat16(const float* in, std::size_t count, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(NarrowBF16)(in, count, out);
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
