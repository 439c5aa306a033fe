#include "numerics/kernels/trellis.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/trellis.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DU = hn::CappedTag<std::uint16_t, 32>;
using DI = hn::RebindToSigned<DU>;

// Lane i of Spread(cost) is cost[i >> kBits].
#if HWY_TARGET == HWY_SCALAR
template <int kBits>
struct Spread {
  auto operator()(const std::uint16_t* cost) const { return hn::Set(DU(), *cost); }
};
#else
template <int kBits>
class Spread {
 public:
  Spread() {
    const hn::Repartition<std::uint8_t, DU> bytes;
    alignas(64) std::uint8_t order[64];
    for (unsigned i = 0; i < 64; ++i) {
      order[i] = static_cast<std::uint8_t>(2 * (i / 2 >> kBits) + i % 2);
    }
    order_ = hn::BitCast(DU(), hn::Load(bytes, order));
  }
  // Reads 16 bytes: up to 7 costs beyond those that count, at most in the next row.
  auto operator()(const std::uint16_t* cost) const {
    return hn::TableLookupBytes(hn::LoadDup128(DU(), cost), order_);
  }

 private:
  hn::Vec<DU> order_;
};
#endif

// One step: next[p] = min over the states s = j 2^(L - k) + p, which lead to the prefix p, of
// cost[s >> k] + (x - value of s)^2. Returns the least of all.
template <int kBits>
std::uint16_t Step(const TrellisCode& code, const std::uint16_t* cost, std::int16_t x,
                   std::uint16_t* next) {
  const DU du;
  const DI di;
  const std::size_t prefixes = code.prefixes();
  const std::int16_t* table = code.Against(x);
  // |x| and no -4 in the sum: the product of two -1 in fixed point is not defined.
  const auto magnitude = hn::Abs(hn::Set(di, x));
  const Spread<kBits> spread;
  auto floor = hn::Set(du, 0xFFFF);
  for (std::size_t p = 0; p < prefixes; p += hn::Lanes(du)) {
    auto least = hn::Set(du, 0xFFFF);
#pragma GCC unroll 16
    for (std::size_t j = 0; j < std::size_t{1} << kBits; ++j) {
      const std::size_t s = j * prefixes + p;
      const auto error = hn::SaturatedAdd(magnitude, hn::Load(di, table + s));
      const auto branch = hn::BitCast(du, hn::MulFixedPoint15(error, error));
      least = hn::Min(least, hn::SaturatedAdd(spread(cost + (s >> kBits)), branch));
    }
    hn::Store(least, du, next + p);
    floor = hn::Min(floor, least);
  }
  return hn::GetLane(hn::MinOfLanes(du, floor));
}

void Subtract(std::uint16_t amount, std::size_t count, std::uint16_t* cost) {
  const DU d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::Store(hn::Sub(hn::Load(d, cost + i), hn::Set(d, amount)), d, cost + i);
  }
}

// Fills rows 1 .. T of `cost` from row 0; a row has one cost for each prefix.
template <int kBits>
void Forward(const TrellisCode& code, std::span<const std::int16_t> x, std::uint16_t* cost) {
  constexpr std::uint16_t kHigh = 1 << 13;  // an eighth of the range
  for (const std::int16_t value : x) {
    std::uint16_t* next = cost + code.prefixes();
    const std::uint16_t least = Step<kBits>(code, cost, value, next);
    if (least > kHigh) Subtract(least, code.prefixes(), next);
    cost = next;
  }
}

void ForwardAny(const TrellisCode& code, std::span<const std::int16_t> x, std::uint16_t* cost) {
  switch (code.bits()) {
    case 2:
      return Forward<2>(code, x, cost);
    case 3:
      return Forward<3>(code, x, cost);
    default:
      return Forward<4>(code, x, cost);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {
namespace {

HWY_EXPORT(ForwardAny);

constexpr std::uint16_t kForbidden = 65535;  // cost of a start that is not allowed

// The cheapest state that leads to `prefix`, the first of equal ones: what Step took its minimum
// over, in the same arithmetic (without its saturation).
template <int kBits>
std::uint32_t CheapestState(const TrellisCode& code, const std::uint16_t* cost, std::int16_t x,
                            std::uint32_t prefix) {
  constexpr std::int32_t kMost = 32767;
  constexpr std::int32_t kHalf = 1 << 14;
  const std::int16_t* table = code.Against(x);
  const auto prefixes = static_cast<std::uint32_t>(code.prefixes());
  const std::int32_t magnitude = std::abs(std::int32_t{x});
  std::uint32_t least = ~0U;
#pragma GCC unroll 16
  for (std::uint32_t j = 0; j < 1U << kBits; ++j) {
    const std::uint32_t s = j * prefixes + prefix;
    const std::int32_t error = std::min(magnitude + table[s], kMost);
    const std::int32_t total = cost[s >> kBits] + ((error * error + kHalf) >> 15);
    least = std::min(least, (static_cast<std::uint32_t>(total) << kBits) + j);
  }
  return (least & ((1U << kBits) - 1)) * prefixes + prefix;
}

// Follows the path that ends in `prefix` back over all of x. Returns the prefix that it starts
// from; `symbols` is empty or has the size of x.
template <int kBits>
std::uint32_t TraceBack(const TrellisCode& code, std::span<const std::int16_t> x,
                        const std::uint16_t* cost, std::uint32_t prefix,
                        std::span<std::uint8_t> symbols) {
  for (std::size_t t = x.size(); t-- > 0;) {
    const std::uint32_t state =
        CheapestState<kBits>(code, cost + t * code.prefixes(), x[t], prefix);
    if (!symbols.empty()) symbols[t] = static_cast<std::uint8_t>(state & ((1U << kBits) - 1));
    prefix = state >> kBits;
  }
  return prefix;
}

// The overlap of the best open path through x rotated by half, at the seam. `twice` is x, x.
template <int kBits>
std::uint32_t FindOverlap(const TrellisCode& code, std::span<const std::int16_t> twice,
                          std::uint16_t* cost) {
  const std::size_t steps = twice.size() / 2;
  const std::size_t half = steps / 2;
  const std::span<const std::int16_t> rotated = twice.subspan(half, steps);
  const std::size_t seam = steps - half;
  std::fill_n(cost, code.prefixes(), std::uint16_t{0});
  HWY_DYNAMIC_DISPATCH(ForwardAny)(code, rotated, cost);
  const std::uint16_t* last = cost + steps * code.prefixes();
  const auto end =
      static_cast<std::uint32_t>(std::min_element(last, last + code.prefixes()) - last);
  return TraceBack<kBits>(code, rotated.subspan(seam), cost + seam * code.prefixes(), end, {});
}

template <int kBits>
void Encode(const TrellisCode& code, std::span<const std::int16_t> twice, std::uint16_t* cost,
            std::span<std::uint8_t> symbols) {
  const std::uint32_t overlap = FindOverlap<kBits>(code, twice, cost);
  std::fill_n(cost, code.prefixes(), kForbidden);
  cost[overlap] = 0;
  const std::span<const std::int16_t> x = twice.first(symbols.size());
  HWY_DYNAMIC_DISPATCH(ForwardAny)(code, x, cost);
  TraceBack<kBits>(code, x, cost, overlap, symbols);
}

}  // namespace

TrellisCode::TrellisCode(int state_bits, int bits, std::vector<float> values)
    : state_bits_(state_bits), bits_(bits), values_(std::move(values)) {
  for (auto& table : fixed_) table = hwy::AllocateAligned<std::int16_t>(values_.size());
  for (std::size_t s = 0; s < values_.size(); ++s) {
    fixed_[0][s] = Fixed(values_[s]);
    fixed_[1][s] = Fixed(-values_[s]);
  }
}

std::int16_t TrellisCode::Fixed(float x) const {
  constexpr float kMost = 32767;
  if (std::isnan(x)) return 0;
  const float scaled = std::clamp(x * (32768 / limit()), -kMost, kMost);
  return static_cast<std::int16_t>(scaled + (scaled < 0 ? -.5F : .5F));
}

void TrellisEncode(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch,
                   std::span<std::uint8_t> symbols) {
  if (x.empty()) return;
  const std::size_t needed = (x.size() + 1) * code.prefixes();
  if (scratch.cost_size < needed) {
    scratch.cost = hwy::AllocateAligned<std::uint16_t>(needed);
    scratch.cost_size = needed;
  }
  scratch.x.resize(2 * x.size());
  for (std::size_t t = 0; t < x.size(); ++t) {
    scratch.x[t] = scratch.x[x.size() + t] = code.Fixed(x[t]);
  }
  switch (code.bits()) {
    case 2:
      return Encode<2>(code, scratch.x, scratch.cost.get(), symbols);
    case 3:
      return Encode<3>(code, scratch.x, scratch.cost.get(), symbols);
    default:
      return Encode<4>(code, scratch.x, scratch.cost.get(), symbols);
  }
}

void TrellisDecode(const TrellisCode& code, std::span<const std::uint8_t> symbols,
                   std::span<float> out) {
  const std::uint32_t mask = (1U << code.state_bits()) - 1;
  std::uint32_t state = 0;
  const auto step = [&](std::size_t t) { state = ((state << code.bits()) | symbols[t]) & mask; };
  const std::size_t steps = symbols.size();
  const auto memory = static_cast<std::size_t>((code.state_bits() + code.bits() - 1) / code.bits());
  for (std::size_t t = steps - std::min(steps, memory); t < steps; ++t) step(t);
  for (std::size_t t = 0; t < steps; ++t) {
    step(t);
    out[t] = code.value(state);
  }
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
