// What the E8P kernels share: registers whose lanes are 8-vectors, sorting, and signs.
//
// For inclusion by Highway's per-target files only: the text is compiled once per instruction set.
#if defined(CALDERA_NUMERICS_KERNELS_E8P_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef CALDERA_NUMERICS_KERNELS_E8P_LANES_INL_H_
#define CALDERA_NUMERICS_KERNELS_E8P_LANES_INL_H_
#else
#undef CALDERA_NUMERICS_KERNELS_E8P_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kMaxLanes = 16;
using DF = hn::CappedTag<float, kMaxLanes>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using MF = hn::Mask<DF>;
using MI = hn::Mask<DI>;

// Eight components; lanes are vectors.
struct Vector8 {
  VF v[8];
};

HWY_INLINE VF F(float value) { return hn::Set(DF(), value); }
HWY_INLINE VI I(int value) { return hn::Set(DI(), value); }
HWY_INLINE MF FloatMask(MI mask) { return hn::RebindMask(DF(), mask); }
HWY_INLINE MI IntMask(MF mask) { return hn::RebindMask(DI(), mask); }

HWY_INLINE VI BitWhere(MI mask, int bit) { return hn::IfThenElseZero(mask, I(bit)); }

HWY_INLINE VI SignWhere(MI mask) { return BitWhere(mask, INT32_MIN); }

// NaN becomes 0 and infinity a large number, so that every input has a code.
HWY_INLINE VF Sanitise(VF x) {
  const VF number = hn::IfThenElseZero(hn::Eq(x, x), x);
  return hn::Max(F(-1e15F), hn::Min(F(1e15F), number));
}

HWY_INLINE void Order(VF& high, VF& low) {
  const VF larger = hn::Max(high, low);
  low = hn::Min(high, low);
  high = larger;
}

// Largest first: Batcher's merge of two sorted halves of four, 19 comparators.
HWY_INLINE void SortDescending(VF* a) {
  constexpr int kPairs[19][2] = {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 2}, {1, 3}, {4, 6},
                                 {5, 7}, {1, 2}, {5, 6}, {0, 4}, {1, 5}, {2, 6}, {3, 7},
                                 {2, 4}, {3, 5}, {1, 2}, {3, 4}, {5, 6}};
  for (const auto& pair : kPairs) Order(a[pair[0]], a[pair[1]]);
}

HWY_INLINE VF SmallestOf(const VF* a) {
  return hn::Min(hn::Min(hn::Min(a[0], a[1]), hn::Min(a[2], a[3])),
                 hn::Min(hn::Min(a[4], a[5]), hn::Min(a[6], a[7])));
}

// The best value so far and its component as a bit.
struct Extreme {
  VF value;
  VI bit;
};

// Smallest of a[first..last].
HWY_INLINE Extreme SmallestIn(const VF* a, int first, int last) {
  Extreme least{a[first], I(1 << first)};
  for (int i = first + 1; i <= last; ++i) {
    const MF less = hn::Lt(a[i], least.value);
    least.value = hn::Min(a[i], least.value);
    least.bit = hn::IfThenElse(IntMask(less), I(1 << i), least.bit);
  }
  return least;
}

// 1 where the number of negative components is odd, else 0.
HWY_INLINE VI NegativeParity(const VF* x) {
  VF signs = x[0];
  for (int i = 1; i < 8; ++i) signs = hn::Xor(signs, x[i]);
  return hn::And(hn::ShiftRight<31>(hn::BitCast(DI(), signs)), I(1));
}

// Turns |x|-like magnitudes into signed ones; where `flip` is set the component that costs least
// changes its sign. Returns the sign bits of components 0 .. 7.
HWY_INLINE VI ApplySigns(const Vector8& x, MI flip, Vector8& magnitude) {
  VF cost[8];
  for (int i = 0; i < 8; ++i) cost[i] = hn::Mul(hn::Abs(x.v[i]), magnitude.v[i]);
  const VF least = SmallestOf(cost);
  VI pending = hn::VecFromMask(DI(), flip);
  VI signs = I(0);
  for (int i = 0; i < 8; ++i) {
    const VI hit = hn::And(pending, hn::VecFromMask(DI(), IntMask(hn::Eq(cost[i], least))));
    pending = hn::AndNot(hit, pending);
    const VI negative = hn::Xor(hn::BitCast(DI(), x.v[i]), hit);
    const VI sign = hn::And(negative, I(INT32_MIN));
    magnitude.v[i] = hn::Or(magnitude.v[i], hn::BitCast(DF(), sign));
    signs = hn::Or(signs, hn::And(hn::ShiftRight<31>(negative), I(1 << i)));
  }
  return signs;
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
