#include "numerics/kernels/e8p.h"

#include "numerics/kernels/e8p_table.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/e8p.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "numerics/kernels/e8_ball_inl.h"
#include "numerics/kernels/e8p_lanes_inl.h"
#include "numerics/kernels/e8p_search_inl.h"

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {

template <int kComponent>
HWY_INLINE VF PatternComponent(VI word) {
  const VI step = hn::And(hn::ShiftRight<2 * kComponent>(word), I(3));
  return hn::Add(hn::ConvertTo(DF(), step), F(0.5F));
}

HWY_INLINE Vector8 PatternVector(VI word) {
  return {{PatternComponent<0>(word), PatternComponent<1>(word), PatternComponent<2>(word),
           PatternComponent<3>(word), PatternComponent<4>(word), PatternComponent<5>(word),
           PatternComponent<6>(word), PatternComponent<7>(word)}};
}

// Codes and codewords of y, given each lane's shift and the pattern chosen for it.
HWY_INLINE VI CodeOfChoice(const Vector8& y, MF is_plus, const Choice& choice, Vector8& decoded) {
  const VF shift = hn::IfThenElse(is_plus, F(0.25F), F(-0.25F));
  Vector8 x;
  VF a[8];
  for (int i = 0; i < 8; ++i) {
    x.v[i] = hn::Sub(y.v[i], shift);
    a[i] = hn::Abs(x.v[i]);
  }
  const VI number = PatternNumber(a, choice);
  const VI word = hn::GatherIndex(DI(), GetE8pTable().patterns.data(), number);
  decoded = PatternVector(word);
  const VI odd = hn::Xor(NegativeParity(x.v), hn::ShiftRight<16>(word));
  const VI signs = ApplySigns(x, hn::Ne(odd, I(0)), decoded);
  for (int i = 0; i < 8; ++i) decoded.v[i] = hn::Add(decoded.v[i], shift);
  const VI free_signs = hn::ShiftLeft<8>(hn::And(signs, I(0x7F)));
  return hn::Or(hn::Or(number, free_signs), BitWhere(IntMask(is_plus), 1 << 15));
}

// Codes of y; `decoded` becomes the codewords. One copy per instruction set: inlining it at every
// stage multiplies the time to compile and gains nothing.
HWY_NOINLINE VI EncodeE8p(const Vector8& y, Vector8& decoded) {
  VF plus_score;
  VF minus_score;
  const Choice plus = ChooseForShift(y, 0.25F, plus_score);
  const Choice minus = ChooseForShift(y, -0.25F, minus_score);
  VF sum = y.v[0];
  for (int i = 1; i < 8; ++i) sum = hn::Add(sum, y.v[i]);
  const MF is_plus = hn::Gt(hn::Add(plus_score, sum), minus_score);
  return CodeOfChoice(y, is_plus, Blend(is_plus, plus, minus), decoded);
}

// The nearest codewords of one shift.
HWY_NOINLINE VI EncodeE8pForShift(const Vector8& y, float shift, Vector8& decoded) {
  VF score;
  const Choice choice = ChooseForShift(y, shift, score);
  return CodeOfChoice(y, hn::Gt(F(shift), F(0)), choice, decoded);
}

HWY_INLINE Vector8 DecodeE8p(VI code) {
  const VI word = hn::GatherIndex(DI(), GetE8pTable().patterns.data(), hn::And(code, I(0xFF)));
  Vector8 out = PatternVector(word);
  VI signs = hn::And(hn::ShiftRight<8>(code), I(0x7F));
  VI parity = hn::Xor(signs, hn::ShiftRight<4>(signs));
  parity = hn::Xor(parity, hn::ShiftRight<2>(parity));
  parity = hn::Xor(hn::Xor(parity, hn::ShiftRight<1>(parity)), hn::ShiftRight<16>(word));
  signs = hn::Or(signs, hn::ShiftLeft<7>(hn::And(parity, I(1))));
  const MI is_plus = hn::Ne(hn::And(code, I(1 << 15)), I(0));
  const VF shift = hn::IfThenElse(FloatMask(is_plus), F(0.25F), F(-0.25F));
  for (int i = 0; i < 8; ++i) {
    const VI sign = SignWhere(hn::Ne(hn::And(signs, I(1 << i)), I(0)));
    out.v[i] = hn::Add(hn::Or(out.v[i], hn::BitCast(DF(), sign)), shift);
  }
  return out;
}

HWY_INLINE Vector8 ScaledDifference(const Vector8& x, const Vector8& y, float scale) {
  Vector8 out;
  for (int i = 0; i < 8; ++i) out.v[i] = hn::Mul(hn::Sub(x.v[i], y.v[i]), F(scale));
  return out;
}

HWY_INLINE void AddScaled(const Vector8& y, float scale, Vector8& x) {
  for (int i = 0; i < 8; ++i) x.v[i] = hn::Add(x.v[i], hn::Mul(y.v[i], F(scale)));
}

template <E8pResidual kResidual>
HWY_INLINE Vector8 DecodeRegister(VI code) {
  Vector8 out = DecodeE8p(code);
  const VI second = hn::ShiftRight<16>(code);
  if (kResidual == E8pResidual::kBall) {
    AddScaled(DecodeBall(second), 1.0F / kE8pBallResidualScale, out);
  } else if (kResidual == E8pResidual::kE8p) {
    AddScaled(DecodeE8p(second), 1.0F / kE8pE8pResidualScale, out);
  }
  return out;
}

// The second stage on what the first left of x; `decoded` becomes the sums, the result both codes.
template <E8pResidual kResidual>
HWY_INLINE VI AddSecondStage(const Vector8& x, VI first, Vector8& decoded) {
  VI second;
  if constexpr (kResidual == E8pResidual::kBall) {
    second = EncodeBallCode(ScaledDifference(x, decoded, kE8pBallResidualScale));
    AddScaled(DecodeBall(second), 1.0F / kE8pBallResidualScale, decoded);
  } else {
    Vector8 residual;
    second = EncodeE8p(ScaledDifference(x, decoded, kE8pE8pResidualScale), residual);
    AddScaled(residual, 1.0F / kE8pE8pResidualScale, decoded);
  }
  return hn::Or(first, hn::ShiftLeft<16>(second));
}

HWY_INLINE VF SquaredDistance(const Vector8& x, const Vector8& y) {
  VF sum = hn::Zero(DF());
  for (int i = 0; i < 8; ++i) {
    const VF difference = hn::Sub(x.v[i], y.v[i]);
    sum = hn::Add(sum, hn::Mul(difference, difference));
  }
  return sum;
}

// Codes of one register of vectors; x becomes the codewords. With a second stage of E8P the first
// is tried with both shifts, and the better sum kept; before the ball that gains nothing.
template <E8pResidual kResidual>
HWY_INLINE VI EncodeRegister(Vector8& x) {
  for (VF& component : x.v) component = Sanitise(component);
  Vector8 decoded;
  if constexpr (kResidual != E8pResidual::kE8p) {
    VI code = EncodeE8p(x, decoded);
    if (kResidual == E8pResidual::kBall) code = AddSecondStage<kResidual>(x, code, decoded);
    x = decoded;
    return code;
  } else {
    VI plus = EncodeE8pForShift(x, 0.25F, decoded);
    plus = AddSecondStage<kResidual>(x, plus, decoded);
    Vector8 other;
    VI minus = EncodeE8pForShift(x, -0.25F, other);
    minus = AddSecondStage<kResidual>(x, minus, other);
    const MF is_plus = hn::Lt(SquaredDistance(x, decoded), SquaredDistance(x, other));
    for (int i = 0; i < 8; ++i) x.v[i] = hn::IfThenElse(is_plus, decoded.v[i], other.v[i]);
    return hn::IfThenElse(IntMask(is_plus), plus, minus);
  }
}

HWY_INLINE Vector8 LoadVectors(const float* x, std::size_t stride) {
  Vector8 out;
  for (std::size_t i = 0; i < 8; ++i) out.v[i] = hn::LoadU(DF(), x + i * stride);
  return out;
}

HWY_INLINE void StoreVectors(const Vector8& x, float* out, std::size_t stride) {
  for (std::size_t i = 0; i < 8; ++i) hn::StoreU(x.v[i], DF(), out + i * stride);
}

HWY_INLINE void CopyColumns(const float* from, std::size_t from_stride, float* to,
                            std::size_t to_stride, std::size_t count) {
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t k = 0; k < count; ++k) to[i * to_stride + k] = from[i * from_stride + k];
  }
}

template <E8pResidual kResidual>
void EncodeFull(const float* x, std::size_t stride, std::uint32_t* codes, float* decoded) {
  Vector8 vectors = LoadVectors(x, stride);
  const VI code = EncodeRegister<kResidual>(vectors);
  hn::StoreU(hn::BitCast(hn::RebindToUnsigned<DI>(), code), hn::RebindToUnsigned<DI>(), codes);
  if (decoded != nullptr) StoreVectors(vectors, decoded, stride);
}

template <E8pResidual kResidual>
void EncodeAll(const E8pVectors& in, std::uint32_t* codes, float* decoded) {
  const std::size_t lanes = hn::Lanes(DF());
  std::size_t k = 0;
  for (; k + lanes <= in.count; k += lanes) {
    EncodeFull<kResidual>(in.x + k, in.stride, codes + k,
                          decoded == nullptr ? nullptr : decoded + k);
  }
  if (k == in.count) return;
  float padded[8 * kMaxLanes] = {};
  std::uint32_t padded_codes[kMaxLanes];
  CopyColumns(in.x + k, in.stride, padded, kMaxLanes, in.count - k);
  EncodeFull<kResidual>(padded, kMaxLanes, padded_codes, padded);
  for (std::size_t i = 0; k + i < in.count; ++i) codes[k + i] = padded_codes[i];
  if (decoded != nullptr) {
    CopyColumns(padded, kMaxLanes, decoded + k, in.stride, in.count - k);
  }
}

template <E8pResidual kResidual>
void DecodeFull(const std::uint32_t* codes, float* out, std::size_t stride) {
  const auto code = hn::LoadU(hn::RebindToUnsigned<DI>(), codes);
  StoreVectors(DecodeRegister<kResidual>(hn::BitCast(DI(), code)), out, stride);
}

template <E8pResidual kResidual>
void DecodeAll(const std::uint32_t* codes, std::size_t count, float* out, std::size_t stride) {
  const std::size_t lanes = hn::Lanes(DF());
  std::size_t k = 0;
  for (; k + lanes <= count; k += lanes) DecodeFull<kResidual>(codes + k, out + k, stride);
  if (k == count) return;
  float padded[8 * kMaxLanes];
  std::uint32_t padded_codes[kMaxLanes] = {};
  for (std::size_t i = 0; k + i < count; ++i) padded_codes[i] = codes[k + i];
  DecodeFull<kResidual>(padded_codes, padded, kMaxLanes);
  CopyColumns(padded, kMaxLanes, out + k, stride, count - k);
}

void Encode2(const E8pVectors& in, std::uint32_t* codes, float* decoded) {
  EncodeAll<E8pResidual::kNone>(in, codes, decoded);
}
void Encode3(const E8pVectors& in, std::uint32_t* codes, float* decoded) {
  EncodeAll<E8pResidual::kBall>(in, codes, decoded);
}
void Encode4(const E8pVectors& in, std::uint32_t* codes, float* decoded) {
  EncodeAll<E8pResidual::kE8p>(in, codes, decoded);
}
void Decode2(const std::uint32_t* codes, std::size_t count, float* out, std::size_t stride) {
  DecodeAll<E8pResidual::kNone>(codes, count, out, stride);
}
void Decode3(const std::uint32_t* codes, std::size_t count, float* out, std::size_t stride) {
  DecodeAll<E8pResidual::kBall>(codes, count, out, stride);
}
void Decode4(const std::uint32_t* codes, std::size_t count, float* out, std::size_t stride) {
  DecodeAll<E8pResidual::kE8p>(codes, count, out, stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {

HWY_EXPORT(Encode2);
HWY_EXPORT(Encode3);
HWY_EXPORT(Encode4);
HWY_EXPORT(Decode2);
HWY_EXPORT(Decode3);
HWY_EXPORT(Decode4);

void E8pEncode(E8pResidual residual, const E8pVectors& vectors, std::uint32_t* codes,
               float* decoded) {
  switch (residual) {
    case E8pResidual::kNone:
      return HWY_DYNAMIC_DISPATCH(Encode2)(vectors, codes, decoded);
    case E8pResidual::kBall:
      return HWY_DYNAMIC_DISPATCH(Encode3)(vectors, codes, decoded);
    case E8pResidual::kE8p:
      return HWY_DYNAMIC_DISPATCH(Encode4)(vectors, codes, decoded);
  }
}

void E8pDecode(E8pResidual residual, const std::uint32_t* codes, std::size_t count, float* out,
               std::size_t stride) {
  switch (residual) {
    case E8pResidual::kNone:
      return HWY_DYNAMIC_DISPATCH(Decode2)(codes, count, out, stride);
    case E8pResidual::kBall:
      return HWY_DYNAMIC_DISPATCH(Decode3)(codes, count, out, stride);
    case E8pResidual::kE8p:
      return HWY_DYNAMIC_DISPATCH(Decode4)(codes, count, out, stride);
  }
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
