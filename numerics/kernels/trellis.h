// Search in tail-biting bitshift trellis codes (QTIP, arXiv 2406.11235, section 3) by the Viterbi
// algorithm. SIMD by Highway's run-time dispatch over the states.
//
// A sequence of T values has T symbols of k bits, taken as a circle: the state at step t is the
// last L bits of the symbols up to t,
//   s_t = (s_{t-1} 2^k + c_t) mod 2^L,   s_{-1} = s_{T-1},
// and value t is values[s_t]. Nothing but the symbols is stored. Needs k T >= L.
#ifndef CALDERA_NUMERICS_KERNELS_TRELLIS_H_
#define CALDERA_NUMERICS_KERNELS_TRELLIS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace caldera::kernels {

struct TrellisCode {
  int state_bits = 0;             // L: 8 .. 16
  int bits = 0;                   // k: 1 .. 4
  const float* values = nullptr;  // 2^L, not owned
};

// Memory of a search, reused between calls: 2^L floats and a byte for each of 2^(L - k) states and
// step. One thread at a time.
struct TrellisScratch {
  std::vector<float> metric;
  std::vector<float> best;
  std::vector<std::uint8_t> from;
  std::vector<std::uint32_t> states;
  std::vector<float> finite;
  std::vector<float> rotated;
};

// Symbols of a near sequence to x: the overlap s_{-1} mod 2^(L - k) is that of the best open path
// through x rotated by half its length, and the path is the best one with this overlap at both
// ends. About 4 T 2^L operations. Infinities count as large numbers, NaN as 0. `symbols` has the
// size of x.
void TrellisEncode(const TrellisCode& code, std::span<const float> x, TrellisScratch& scratch,
                   std::span<std::uint8_t> symbols);

// values[s_t] of every step; `out` has the size of `symbols`.
void TrellisDecode(const TrellisCode& code, std::span<const std::uint8_t> symbols,
                   std::span<float> out);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_TRELLIS_H_
