// E8P, the 2-bit lattice code (QuIP#, arXiv 2402.04396), and the two codes built on it: 3 bits (E8P
// + E8 ball) and 4 bits (E8P + E8P). SIMD by Highway's run-time dispatch; e8p_reference.h is the
// plain twin.
//
// A codeword is v + (s - 1/2) / 2 * (1, ..., 1): v half-integer with an even sum and |v| one of 256
// patterns, s the shift bit. The code of a vector is
//   bits 0-7    index of the pattern |v| in lexicographic order (e8p_table.h)
//   bits 8-14   bit 8 + i set when v_i < 0, i = 0 .. 6; the sign of v_7 makes the sum even
//   bit 15      set: v + 1/4, clear: v - 1/4
// Vectors come component-major: component i of vector k is x[i * stride + k], so that SIMD lanes
// are vectors and any count works. All functions are pure and thread-safe; `decoded` may be null or
// x itself. The encoders of E8P and of the ball find the nearest codeword up to float32 rounding.
// Infinities count as very large numbers, NaN as 0.
#ifndef CALDERA_NUMERICS_KERNELS_E8P_H_
#define CALDERA_NUMERICS_KERNELS_E8P_H_

#include <cstddef>
#include <cstdint>

namespace caldera::kernels {

// An 8-vector code of two stages: x ~ E8P + residual / residual_scale. Code = first stage in bits
// 0-15, second stage from bit 16.
enum class E8pResidual { kNone, kBall, kE8p };  // 2, 3, 4 bits per value
inline constexpr float kE8pBallResidualScale = 2.04F;
inline constexpr float kE8pE8pResidualScale = 3.70F;

// x, decoded: 8 rows of `count` floats, `stride` floats from one row to the next.
struct E8pVectors {
  const float* x = nullptr;
  std::size_t stride = 0;
  std::size_t count = 0;
};

// Nearest codeword of each vector; of two-stage codes a near one: 3 bits take the stages in turn, 4
// bits the better of two sums, one for each shift of the first stage. About 200 instructions per
// register for 2 bits, 400 for 3 and 700 for 4, whatever the input.
void E8pEncode(E8pResidual residual, const E8pVectors& vectors, std::uint32_t* codes,
               float* decoded);

// Codewords of `count` codes into 8 rows of `stride` floats. Bits beyond the code's width are
// ignored.
void E8pDecode(E8pResidual residual, const std::uint32_t* codes, std::size_t count, float* out,
               std::size_t stride);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_E8P_H_
