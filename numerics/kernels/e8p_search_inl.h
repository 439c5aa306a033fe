// Nearest-pattern search without a table walk: see docs/algorithms.md, "E8P".
//
// For each shift let x be the input minus the shift, a = |x|, and a_(1) >= ... >= a_(8). A pattern
// p scores 2 <a, p> - |p|^2, minus 4 min a_i p_i when the parity of the negatives is not the
// pattern's. Relative to the pattern of all 1/2 and halved, only these can win: P_k - k (k entries
// 3/2, P_k the sum of the k largest), 2 a_(1) - 3 (one 5/2), 2 a_(1) + a_(2) - 4 (5/2 and 3/2), and
// the norm-12 patterns. A parity mismatch costs a_(8) in this scale, for the smallest entry always
// holds 1/2 there.
//
// For inclusion by Highway's per-target files only: the text is compiled once per instruction set.
#if defined(CALDERA_NUMERICS_KERNELS_E8P_SEARCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef CALDERA_NUMERICS_KERNELS_E8P_SEARCH_INL_H_
#define CALDERA_NUMERICS_KERNELS_E8P_SEARCH_INL_H_
#else
#undef CALDERA_NUMERICS_KERNELS_E8P_SEARCH_INL_H_
#endif

#include <hwy/highway.h>

#include "numerics/kernels/e8p_lanes_inl.h"
#include "numerics/kernels/e8p_table.h"

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
// The winning pattern of one shift. `top` components are above 1/2: those with a_i > threshold and
// as many equal ones as are missing; the largest holds 5/2 where `five` is -1. Where `norm12` is
// not 0 it is the mask of those components instead.
struct Choice {
  VF half_score;
  VF threshold;
  VI top;
  VI five;
  VI norm12;
};

struct Candidate {
  VF half_score;
  VF threshold;
  int top;
  int five;
};

HWY_INLINE void Consider(const Candidate& candidate, Choice& best) {
  const MF better = hn::Gt(candidate.half_score, best.half_score);
  best.half_score = hn::Max(candidate.half_score, best.half_score);
  best.threshold = hn::IfThenElse(better, candidate.threshold, best.threshold);
  best.top = hn::IfThenElse(IntMask(better), I(candidate.top), best.top);
  best.five = hn::IfThenElse(IntMask(better), I(candidate.five), best.five);
}

// One way to place the three 1/2 of a norm-12 pattern: `loss` = sum of their a_i plus, on a parity
// mismatch, the cost of the cheapest flip; `halves` = their bits.
struct Placement {
  VF loss;
  VI halves;
};

HWY_INLINE void KeepCheaper(const Placement& candidate, Placement& best) {
  const MF less = hn::Lt(candidate.loss, best.loss);
  best.loss = hn::Min(candidate.loss, best.loss);
  best.halves = hn::IfThenElse(IntMask(less), candidate.halves, best.halves);
}

// Halves at 0 and two of 1..7: the two smallest.
HWY_INLINE Placement HalfAtZero(const VF* a, MF mismatch) {
  const Extreme first = SmallestIn(a, 1, 7);
  VF others[8];
  for (int i = 1; i < 8; ++i) {
    others[i] = hn::IfThenElse(FloatMask(hn::Eq(first.bit, I(1 << i))), F(4e15F), a[i]);
  }
  const Extreme second = SmallestIn(others, 1, 7);
  const VF flip = hn::Min(a[0], first.value);
  return {hn::Add(hn::Add(a[0], hn::Add(first.value, second.value)),
                  hn::IfThenElseZero(mismatch, flip)),
          hn::Or(I(1), hn::Or(first.bit, second.bit))};
}

// Halves at 1, at `middle` (2 or 3) and at one of first..last. A component that must hold 3/2 may
// be the cheapest to flip, at three times its magnitude; for the others moving the 1/2 there is
// cheaper still.
HWY_INLINE Placement HalfAtOne(const VF* a, MF mismatch, int middle, int last) {
  const Extreme least = SmallestIn(a, middle + 1, last);
  VF flip = hn::Min(hn::Min(a[1], a[middle]), hn::Min(least.value, hn::Mul(F(3.0F), a[0])));
  if (middle == 3) flip = hn::Min(flip, hn::Mul(F(3.0F), hn::Min(a[2], a[7])));
  return {
      hn::Add(hn::Add(a[1], a[middle]), hn::Add(least.value, hn::IfThenElseZero(mismatch, flip))),
      hn::Or(I(2 | (1 << middle)), least.bit)};
}

// The 29 norm-12 patterns are those with 1/2 at component 0; at 1 and 2; and at 1, 3 and one of 4,
// 5, 6.
HWY_INLINE void ConsiderNorm12(const VF* a, VF sum, MF mismatch, Choice& best) {
  Placement placement = HalfAtZero(a, mismatch);
  KeepCheaper(HalfAtOne(a, mismatch, 2, 7), placement);
  KeepCheaper(HalfAtOne(a, mismatch, 3, 6), placement);
  const VF half_score = hn::Sub(hn::Sub(sum, F(5.0F)), placement.loss);
  const MI better = IntMask(hn::Gt(half_score, best.half_score));
  best.half_score = hn::Max(half_score, best.half_score);
  best.norm12 = hn::IfThenElse(better, hn::Xor(placement.halves, I(0xFF)), best.norm12);
}

// Best pattern for |x|, given whether the number of negatives is odd.
HWY_INLINE Choice ChoosePattern(const VF* a, MF odd_negatives, VF& full_score) {
  Vector8 s;
  for (int i = 0; i < 8; ++i) s.v[i] = a[i];
  SortDescending(s.v);
  const VF sum2 = hn::Add(s.v[0], s.v[1]);
  const VF sum3 = hn::Add(sum2, s.v[2]);
  const VF sum4 = hn::Add(sum3, s.v[3]);
  const VF sum5 = hn::Add(sum4, s.v[4]);
  const VF sum = hn::Add(sum5, hn::Add(s.v[5], hn::Add(s.v[6], s.v[7])));
  const VF even_cost = hn::IfThenElseZero(odd_negatives, s.v[7]);
  const VF odd_cost = hn::IfThenZeroElse(odd_negatives, s.v[7]);
  Choice best{hn::Neg(even_cost), F(4e15F), I(0), I(0), I(0)};
  const VF two = hn::Add(F(2.0F), even_cost);
  Consider({hn::Sub(sum2, two), s.v[1], 2, 0}, best);
  Consider({hn::Sub(hn::Sub(sum4, two), F(2.0F)), s.v[3], 4, 0}, best);
  Consider({hn::Sub(hn::Sub(hn::Add(s.v[0], s.v[0]), two), F(1.0F)), s.v[0], 1, -1}, best);
  const VF one = hn::Add(F(1.0F), odd_cost);
  Consider({hn::Sub(s.v[0], one), s.v[0], 1, 0}, best);
  Consider({hn::Sub(hn::Sub(sum3, one), F(2.0F)), s.v[2], 3, 0}, best);
  Consider({hn::Sub(hn::Sub(hn::Add(sum2, s.v[0]), one), F(3.0F)), s.v[1], 2, -1}, best);
  const VF bound = hn::Sub(hn::Sub(sum5, one), F(4.0F));
  if (!hn::AllFalse(DF(), hn::Gt(bound, best.half_score))) {
    ConsiderNorm12(a, sum, hn::Not(odd_negatives), best);
  }
  full_score = hn::Add(sum, hn::Add(best.half_score, best.half_score));
  return best;
}

// Not inlined, like EncodeE8p: equal speed, a third of the time to compile.
inline HWY_NOINLINE Choice ChooseForShift(const Vector8& y, float shift, VF& full_score) {
  VF x[8];
  VF a[8];
  for (int i = 0; i < 8; ++i) {
    x[i] = hn::Sub(y.v[i], F(shift));
    a[i] = hn::Abs(x[i]);
  }
  return ChoosePattern(a, FloatMask(hn::Ne(NegativeParity(x), I(0))), full_score);
}

HWY_INLINE Choice Blend(MF mask, const Choice& yes, const Choice& no) {
  const MI integer = IntMask(mask);
  return {hn::IfThenElse(mask, yes.half_score, no.half_score),
          hn::IfThenElse(mask, yes.threshold, no.threshold),
          hn::IfThenElse(integer, yes.top, no.top), hn::IfThenElse(integer, yes.five, no.five),
          hn::IfThenElse(integer, yes.norm12, no.norm12)};
}

// The components above 1/2 as bits, the first of equal ones first.
HWY_INLINE VI TopBits(const VF* a, const Choice& choice) {
  VI bits = I(0);
  VI missing = choice.top;
  for (int i = 0; i < 8; ++i) {
    const MI above = IntMask(hn::Gt(a[i], choice.threshold));
    bits = hn::Or(bits, BitWhere(above, 1 << i));
    missing = hn::Add(missing, hn::VecFromMask(DI(), above));
  }
  for (int i = 0; i < 8; ++i) {
    const MI equal = IntMask(hn::Eq(a[i], choice.threshold));
    const MI taken = hn::And(equal, hn::Gt(missing, I(0)));
    bits = hn::Or(bits, BitWhere(taken, 1 << i));
    missing = hn::Add(missing, hn::VecFromMask(DI(), taken));
  }
  return bits;
}

// Number of the chosen pattern.
HWY_INLINE VI PatternNumber(const VF* a, const Choice& choice) {
  const MI is_norm12 = hn::Ne(choice.norm12, I(0));
  const VI bits = hn::IfThenElse(is_norm12, choice.norm12, TopBits(a, choice));
  VF largest = a[0];
  for (int i = 1; i < 8; ++i) largest = hn::Max(largest, a[i]);
  VI five = I(0);
  for (int i = 7; i >= 0; --i) {
    five = hn::IfThenElse(IntMask(hn::Eq(a[i], largest)), I(256 * (i + 1)), five);
  }
  const VI key =
      hn::Or(bits, hn::AndNot(hn::VecFromMask(DI(), is_norm12), hn::And(five, choice.five)));
  return hn::GatherIndex(DI(), GetE8pTable().numbers.data(), key);
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
