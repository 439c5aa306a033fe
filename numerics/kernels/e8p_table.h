// The tables of E8P and of the 256-word E8 ball, computed from their definitions.
//
// E8P patterns: vectors over {1/2, 3/2, 5/2}^8, namely the 227 with |p|^2 <= 10 and, of the 56 with
// five 3/2 and three 1/2 (|p|^2 = 12), the 29 that are smallest in lexicographic order. The 256
// patterns are numbered 0 .. 255 in lexicographic order (component 0 first).
//
// E8 ball, 0 .. 255 (E8 = integer vectors with even sum, and those plus (1/2, ..., 1/2)):
//   0-127    all +-1/2; bit i of the code set when component i < 0, i = 0 .. 6; component 7 makes
//   the
//            number of negatives even
//   128-239  two +-1 at i < j: 128 + 4 p + 2 (x_j < 0) + (x_i < 0), where p = i (15 - i) / 2 + j -
//   i - 1 is
//            the rank of (i, j) in lexicographic order
//   240-247  +2 at component code - 240;  248-254  -2 at component code - 248 (component 7 has
//   none) 255      zero
#ifndef CALDERA_NUMERICS_KERNELS_E8P_TABLE_H_
#define CALDERA_NUMERICS_KERNELS_E8P_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace caldera::kernels {

struct E8pTable {
  // Pattern k: component i is 1/2 + bits 2i, 2i+1 of the word; bit 16 is the sum of the pattern mod
  // 2, which is the parity that the number of negative components must have.
  std::array<std::int32_t, 256> patterns;
  // Pattern number at [256 * (i + 1) + mask] when the one 5/2 is at component i and `mask` has the
  // bits of all components above 1/2; at [mask] when there is no 5/2. 0 where there is no such
  // pattern.
  std::array<std::int32_t, 9 * 256> numbers;
};

struct E8BallTable {
  // Twice component i of word k, in two's complement: byte i of low[k], byte i - 4 of high[k].
  std::array<std::int32_t, 256> low;
  std::array<std::int32_t, 256> high;
};

// Built on first use; the same objects for the whole program. Thread-safe.
const E8pTable& GetE8pTable();
const E8BallTable& GetE8BallTable();

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_E8P_TABLE_H_
