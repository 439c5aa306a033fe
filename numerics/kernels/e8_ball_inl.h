// Exact encoder and decoder of the 256-word E8 ball (e8p_table.h): one candidate for each of the
// four kinds of words.
//
// For inclusion by Highway's per-target files only: the text is compiled once per instruction set.
#if defined(CALDERA_NUMERICS_KERNELS_E8_BALL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef CALDERA_NUMERICS_KERNELS_E8_BALL_INL_H_
#define CALDERA_NUMERICS_KERNELS_E8_BALL_INL_H_
#else
#undef CALDERA_NUMERICS_KERNELS_E8_BALL_INL_H_
#endif

#include <hwy/highway.h>

#include "numerics/kernels/e8p_lanes_inl.h"
#include "numerics/kernels/e8p_table.h"

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
// The two largest magnitudes and their components.
struct TopTwo {
  VF first;
  VF second;
  VI first_index;
  VI second_index;
};

HWY_INLINE TopTwo LargestTwo(const VF* a) {
  TopTwo top{a[0], F(-1.0F), I(0), I(0)};
  for (int i = 1; i < 8; ++i) {
    const MF beats_first = hn::Gt(a[i], top.first);
    const MF beats_second = hn::Gt(a[i], top.second);
    top.second_index = hn::IfThenElse(IntMask(beats_second), I(i), top.second_index);
    top.second_index = hn::IfThenElse(IntMask(beats_first), top.first_index, top.second_index);
    top.first_index = hn::IfThenElse(IntMask(beats_first), I(i), top.first_index);
    top.second = hn::IfThenElse(beats_first, top.first, hn::Max(top.second, a[i]));
    top.first = hn::Max(top.first, a[i]);
  }
  return top;
}

// Bit `index` of signs, 0 or 1.
HWY_INLINE VI SignAt(VI signs, VI index) {
  VI bit = I(0);
  for (int i = 0; i < 8; ++i) {
    const MI here = hn::Eq(index, I(i));
    bit = hn::Or(bit, hn::IfThenElseZero(here, hn::And(hn::ShiftRightSame(signs, i), I(1))));
  }
  return bit;
}

HWY_INLINE VI PairCode(const TopTwo& top, VI signs) {
  const VI i = hn::Min(top.first_index, top.second_index);
  const VI j = hn::Max(top.first_index, top.second_index);
  const VI base = hn::ShiftRight<1>(hn::Mul(i, hn::Sub(I(15), i)));
  const VI rank = hn::Sub(hn::Add(base, hn::Sub(j, i)), I(1));
  const VI sign_bits = hn::Or(SignAt(signs, i), hn::ShiftLeft<1>(SignAt(signs, j)));
  return hn::Add(I(128), hn::Add(hn::ShiftLeft<2>(rank), sign_bits));
}

// Half scores <x, w> - |w|^2 / 2 of the four kinds of words; codes as in e8p_table.h.
HWY_INLINE VI EncodeBallCode(const Vector8& x) {
  VF a[8];
  VF sum = hn::Zero(DF());
  for (int i = 0; i < 8; ++i) {
    a[i] = hn::Abs(x.v[i]);
    sum = hn::Add(sum, a[i]);
  }
  Vector8 halves{{F(0.5F), F(0.5F), F(0.5F), F(0.5F), F(0.5F), F(0.5F), F(0.5F), F(0.5F)}};
  const MI odd = hn::Ne(NegativeParity(x.v), I(0));
  const VI half_signs = ApplySigns(x, odd, halves);
  const VF flip = hn::IfThenElseZero(FloatMask(odd), SmallestOf(a));
  VF best = hn::Sub(hn::Sub(hn::Mul(F(0.5F), sum), flip), F(1.0F));
  VI code = hn::And(half_signs, I(0x7F));

  const TopTwo top = LargestTwo(a);
  VI signs = I(0);
  for (int i = 0; i < 8; ++i) {
    signs = hn::Or(signs, hn::And(hn::ShiftRight<31>(hn::BitCast(DI(), x.v[i])), I(1 << i)));
  }
  const auto keep = [&best, &code](VF score, VI candidate) {
    code = hn::IfThenElse(IntMask(hn::Gt(score, best)), candidate, code);
    best = hn::Max(score, best);
  };
  keep(hn::Sub(hn::Add(top.first, top.second), F(1.0F)), PairCode(top, signs));
  const MI excluded = hn::And(hn::Eq(top.first_index, I(7)), hn::Ne(SignAt(signs, I(7)), I(0)));
  const VF single = hn::IfThenElse(FloatMask(excluded), top.second, top.first);
  const VI index = hn::IfThenElse(excluded, top.second_index, top.first_index);
  const VI single_code = hn::Add(hn::Add(I(240), index), hn::ShiftLeft<3>(SignAt(signs, index)));
  keep(hn::Sub(hn::Add(single, single), F(2.0F)), single_code);
  keep(hn::Zero(DF()), I(255));
  return code;
}

template <int kByte>
HWY_INLINE VF BallComponent(VI word) {
  const VI twice = hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * kByte>(word));
  return hn::Mul(hn::ConvertTo(DF(), twice), F(0.5F));
}

HWY_INLINE Vector8 DecodeBall(VI code) {
  const E8BallTable& table = GetE8BallTable();
  const VI low = hn::GatherIndex(DI(), table.low.data(), hn::And(code, I(0xFF)));
  const VI high = hn::GatherIndex(DI(), table.high.data(), hn::And(code, I(0xFF)));
  return {{BallComponent<0>(low), BallComponent<1>(low), BallComponent<2>(low),
           BallComponent<3>(low), BallComponent<0>(high), BallComponent<1>(high),
           BallComponent<2>(high), BallComponent<3>(high)}};
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
