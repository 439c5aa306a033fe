#include "numerics/kernels/trellis.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "numerics/kernels/trellis.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace caldera::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using DB = hn::Rebind<std::uint8_t, DF>;

// best[p] = min over j of metric[j 2^(L - k) + p], the predecessors of the states whose upper bits
// are p; from[p] = the j that has it, the first of equal ones.
template <int kBits>
void KeepBest(const float* HWY_RESTRICT metric, std::size_t prefixes, float* HWY_RESTRICT best,
              std::uint8_t* HWY_RESTRICT from) {
  const DF d;
  const DI di;
  for (std::size_t p = 0; p < prefixes; p += hn::Lanes(d)) {
    auto least = hn::LoadU(d, metric + p);
    auto source = hn::Zero(di);
    for (int j = 1; j < 1 << kBits; ++j) {
      const auto other = hn::LoadU(d, metric + static_cast<std::size_t>(j) * prefixes + p);
      const auto less = hn::Lt(other, least);
      least = hn::Min(other, least);
      source = hn::IfThenElse(hn::RebindMask(di, less), hn::Set(di, j), source);
    }
    hn::StoreU(least, d, best + p);
    hn::StoreU(hn::DemoteTo(DB(), source), DB(), from + p);
  }
}

// metric[s] = best[s >> k] + (x - values[s])^2.
template <int kBits>
void Extend(const float* HWY_RESTRICT best, const float* HWY_RESTRICT values, float x,
            std::size_t states, float* HWY_RESTRICT metric) {
  const DF d;
  const DI di;
  const std::size_t lanes = hn::Lanes(d);
  const auto target = hn::Set(d, x);
  const auto spread = hn::IndicesFromVec(d, hn::ShiftRight<kBits>(hn::Iota(di, 0)));
  for (std::size_t s = 0; s < states; s += lanes) {
    // Reads up to one register beyond the prefixes that count.
    const auto prefix = hn::TableLookupLanes(hn::LoadU(d, best + (s >> kBits)), spread);
    const auto error = hn::Sub(target, hn::LoadU(d, values + s));
    hn::StoreU(hn::MulAdd(error, error, prefix), d, metric + s);
  }
}

template <int kBits>
void Forward(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch) {
  const std::size_t states = std::size_t{1} << code.state_bits;
  const std::size_t prefixes = states >> kBits;
  for (std::size_t t = 0; t < x.size(); ++t) {
    if (t > 0) {
      KeepBest<kBits>(scratch.metric.data(), prefixes, scratch.best.data(),
                      scratch.from.data() + t * prefixes);
    }
    Extend<kBits>(scratch.best.data(), code.values, x[t], states, scratch.metric.data());
  }
}

void ForwardAny(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch) {
  switch (code.bits) {
    case 1:
      return Forward<1>(code, x, scratch);
    case 2:
      return Forward<2>(code, x, scratch);
    case 3:
      return Forward<3>(code, x, scratch);
    default:
      return Forward<4>(code, x, scratch);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace caldera::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caldera::kernels {
namespace {

HWY_EXPORT(ForwardAny);

constexpr std::size_t kSlack = 16;  // floats that Extend may read beyond `best`
constexpr float kFar = 1e30F;       // cost of a start that is not allowed
constexpr float kLargest = 1e6F;

float Sanitised(float x) { return std::isnan(x) ? 0 : std::clamp(x, -kLargest, kLargest); }

struct Shape {
  explicit Shape(const TrellisCode& code)
      : states(std::size_t{1} << code.state_bits), prefixes(states >> code.bits) {}
  std::size_t states;
  std::size_t prefixes;
};

// Cheapest final state among `first`, first + step, ...
std::uint32_t Cheapest(const std::vector<float>& metric, std::size_t first, std::size_t step) {
  std::size_t cheapest = first;
  for (std::size_t s = first; s < metric.size(); s += step) {
    if (metric[s] < metric[cheapest]) cheapest = s;
  }
  return static_cast<std::uint32_t>(cheapest);
}

// Fills scratch.states from the last step back to the first.
void TraceBack(const TrellisCode& code, std::uint32_t last, TrellisScratch& scratch) {
  const Shape shape(code);
  for (std::size_t t = scratch.states.size(); t-- > 0;) {
    scratch.states[t] = last;
    if (t == 0) return;
    const std::size_t prefix = last >> code.bits;
    const std::size_t source = scratch.from[t * shape.prefixes + prefix];
    last = static_cast<std::uint32_t>(source * shape.prefixes + prefix);
  }
}

// The overlap of the best open path through x rotated by half, at the seam.
std::size_t FindOverlap(const TrellisCode& code, std::span<const float> x,
                        TrellisScratch& scratch) {
  const Shape shape(code);
  const std::size_t half = x.size() / 2;
  scratch.rotated.assign(x.begin() + static_cast<std::ptrdiff_t>(half), x.end());
  scratch.rotated.insert(scratch.rotated.end(), x.begin(),
                         x.begin() + static_cast<std::ptrdiff_t>(half));
  std::fill_n(scratch.best.begin(), shape.prefixes, 0.0F);
  HWY_DYNAMIC_DISPATCH(ForwardAny)(code, scratch.rotated, scratch);
  TraceBack(code, Cheapest(scratch.metric, 0, 1), scratch);
  return scratch.states[x.size() - half - 1] & (shape.prefixes - 1);
}

}  // namespace

void TrellisEncode(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch,
                   std::span<std::uint8_t> symbols) {
  if (x.empty()) return;
  const Shape shape(code);
  scratch.metric.resize(shape.states);
  scratch.best.resize(shape.prefixes + kSlack);
  scratch.from.resize(shape.prefixes * x.size());
  scratch.states.resize(x.size());
  std::vector<float>& finite = scratch.finite;
  finite.resize(x.size());
  std::transform(x.begin(), x.end(), finite.begin(), Sanitised);
  const std::size_t overlap = FindOverlap(code, finite, scratch);
  std::fill_n(scratch.best.begin(), shape.prefixes, kFar);
  scratch.best[overlap] = 0;
  HWY_DYNAMIC_DISPATCH(ForwardAny)(code, finite, scratch);
  TraceBack(code, Cheapest(scratch.metric, overlap, shape.prefixes), scratch);
  const std::uint32_t mask = (1U << code.bits) - 1;
  for (std::size_t t = 0; t < x.size(); ++t) {
    symbols[t] = static_cast<std::uint8_t>(scratch.states[t] & mask);
  }
}

void TrellisDecode(const TrellisCode& code, std::span<const std::uint8_t> symbols,
                   std::span<float> out) {
  const std::uint32_t mask = (1U << code.state_bits) - 1;
  std::uint32_t state = 0;
  const auto step = [&](std::size_t t) { state = ((state << code.bits) | symbols[t]) & mask; };
  const std::size_t steps = symbols.size();
  const auto memory = static_cast<std::size_t>((code.state_bits + code.bits - 1) / code.bits);
  for (std::size_t t = steps - std::min(steps, memory); t < steps; ++t) step(t);
  for (std::size_t t = 0; t < steps; ++t) {
    step(t);
    out[t] = code.values[state];
  }
}

}  // namespace caldera::kernels
#endif  // HWY_ONCE
