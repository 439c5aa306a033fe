// Search in tail-biting bitshift trellis codes (QTIP, arXiv 2406.11235, section 3) by the Viterbi
// algorithm in 16-bit fixed point. SIMD by Highway's run-time dispatch over the states; every
// instruction set gives the same symbols.
//
// A sequence of T values has T symbols of k bits, taken as a circle: the state at step t is the
// last L bits of the symbols up to t,
//   s_t = (s_{t-1} 2^k + c_t) mod 2^L,   s_{-1} = s_{T-1},
// and value t is values[s_t]. Nothing but the symbols is stored. Needs k T >= L.
#ifndef CALDERA_NUMERICS_KERNELS_TRELLIS_H_
#define CALDERA_NUMERICS_KERNELS_TRELLIS_H_

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace caldera::kernels {

// Immutable; safe from any thread.
class TrellisCode {
 public:
  // `state_bits` L: 9 .. 16; `bits` k: 2 .. 4, L - k at least 5; `values`: 2^L.
  TrellisCode(int state_bits, int bits, std::vector<float> values);

  int state_bits() const { return state_bits_; }
  int bits() const { return bits_; }
  // States that share their next state: 2^(L - k).
  std::size_t prefixes() const { return std::size_t{1} << (state_bits_ - bits_); }
  float value(std::uint32_t state) const { return values_[state]; }
  // What the search reads: x within +-limit() in steps of limit() / 2^15; NaN is 0. The limit is 8,
  // or 4 at 4 bits, where distances are small.
  std::int16_t Fixed(float x) const;
  float limit() const { return bits_ < 4 ? 8 : 4; }
  // Fixed() of all values, times the sign that makes |x - value| = ||x| + result| for such an x.
  const std::int16_t* Against(std::int16_t x) const { return fixed_[x < 0 ? 0 : 1].get(); }

 private:
  int state_bits_;
  int bits_;
  std::vector<float> values_;
  hwy::AlignedFreeUniquePtr<std::int16_t[]> fixed_[2];  // plain, negated
};

// Memory of a search, reused between calls: 2^(L - k + 1) bytes for each step. One thread at a
// time.
struct TrellisScratch {
  hwy::AlignedFreeUniquePtr<std::uint16_t[]> cost;
  std::size_t cost_size = 0;
  std::vector<std::int16_t> x;
};

// Symbols of a near sequence to x: the overlap s_{-1} mod 2^(L - k) is that of the best open path
// through x rotated by half its length, and the path is the best one with this overlap at both
// ends. Distances are those of Fixed() values, above limit() they count as limit(); squares are
// rounded to limit()^2 / 2^15, and paths above 2 limit()^2 more than the best one count as equal.
// About 2 T 2^L times five operations on 16 bits. `symbols` has the size of x.
void TrellisEncode(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch,
                   std::span<std::uint8_t> symbols);

// values[s_t] of every step; `out` has the size of `symbols`.
void TrellisDecode(const TrellisCode& code, std::span<const std::uint8_t> symbols,
                   std::span<float> out);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_TRELLIS_H_
