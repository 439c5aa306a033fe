// Nearest-codeword search without a table walk: see docs/algorithms.md, "E8P".
//
// For each shift let x be the input minus the shift, a = |x|, and a_(1) >= ... >= a_(8). A pattern
// p scores 2 <a, p> - |p|^2, minus 4 min a_i p_i when the parity of the negatives is not the
// pattern's. Relative to the pattern of all 1/2 and halved, only these can win: P_k - k (k entries
// 3/2, P_k the sum of the k largest), 2 a_(1) - 3 (one 5/2), 2 a_(1) + a_(2) - 4 (5/2 and 3/2), and
// the norm-12 patterns. A parity mismatch costs a_(8) in this scale, for the smallest entry always
// holds 1/2 there.
#include "numerics/kernels/e8p.h"

#include "numerics/kernels/e8p_table.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/e8p.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

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

// 1 where the number of negative components is odd, else 0.
HWY_INLINE VI NegativeParity(const VF* x) {
  VF signs = x[0];
  for (int i = 1; i < 8; ++i) signs = hn::Xor(signs, x[i]);
  return hn::And(hn::ShiftRight<31>(hn::BitCast(DI(), signs)), I(1));
}

HWY_INLINE Choice ChooseForShift(const Vector8& y, float shift, VF& full_score) {
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

// Codes of y; `decoded` becomes the codewords.
HWY_INLINE VI EncodeE8p(const Vector8& y, Vector8& decoded) {
  VF plus_score;
  VF minus_score;
  const Choice plus = ChooseForShift(y, 0.25F, plus_score);
  const Choice minus = ChooseForShift(y, -0.25F, minus_score);
  VF sum = y.v[0];
  for (int i = 1; i < 8; ++i) sum = hn::Add(sum, y.v[i]);
  const MF is_plus = hn::Gt(hn::Add(plus_score, sum), minus_score);
  const VF shift = hn::IfThenElse(is_plus, F(0.25F), F(-0.25F));
  Vector8 x;
  VF a[8];
  for (int i = 0; i < 8; ++i) {
    x.v[i] = hn::Sub(y.v[i], shift);
    a[i] = hn::Abs(x.v[i]);
  }
  const VI number = PatternNumber(a, Blend(is_plus, plus, minus));
  const VI word = hn::GatherIndex(DI(), GetE8pTable().patterns.data(), number);
  decoded = PatternVector(word);
  const VI odd = hn::Xor(NegativeParity(x.v), hn::ShiftRight<16>(word));
  const VI signs = ApplySigns(x, hn::Ne(odd, I(0)), decoded);
  for (int i = 0; i < 8; ++i) decoded.v[i] = hn::Add(decoded.v[i], shift);
  const VI free_signs = hn::ShiftLeft<8>(hn::And(signs, I(0x7F)));
  return hn::Or(hn::Or(number, free_signs), BitWhere(IntMask(is_plus), 1 << 15));
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

// Codes of one register of vectors; x becomes the codewords.
template <E8pResidual kResidual>
HWY_INLINE VI EncodeRegister(Vector8& x) {
  for (VF& component : x.v) component = Sanitise(component);
  Vector8 decoded;
  VI code = EncodeE8p(x, decoded);
  if (kResidual == E8pResidual::kBall) {
    const Vector8 residual = ScaledDifference(x, decoded, kE8pBallResidualScale);
    const VI second = EncodeBallCode(residual);
    AddScaled(DecodeBall(second), 1.0F / kE8pBallResidualScale, decoded);
    code = hn::Or(code, hn::ShiftLeft<16>(second));
  } else if (kResidual == E8pResidual::kE8p) {
    const Vector8 residual = ScaledDifference(x, decoded, kE8pE8pResidualScale);
    Vector8 decoded_residual;
    const VI second = EncodeE8p(residual, decoded_residual);
    AddScaled(decoded_residual, 1.0F / kE8pE8pResidualScale, decoded);
    code = hn::Or(code, hn::ShiftLeft<16>(second));
  }
  x = decoded;
  return code;
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
