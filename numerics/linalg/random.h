// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A value depends only on (seed, stream, index), so any rank or thread draws
// any part of a sequence and gets the same values. Functions of values; safe from any thread.
#ifndef CALDERA_NUMERICS_LINALG_RANDOM_H_
#define CALDERA_NUMERICS_LINALG_RANDOM_H_

#include <array>
#include <cstdint>
#include <span>

#include "numerics/linalg/matrix.h"

namespace caldera::linalg {

// Ten rounds of Philox4x32: 128 random bits for a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> Philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key);

// One sequence of random numbers per (seed, stream). Use different streams for different purposes.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  // 64 uniform bits.
  std::uint64_t Bits(std::uint64_t index) const;
  // Uniform in [0, 1), 53 bits.
  double Uniform(std::uint64_t index) const;
  // Standard normal (Box-Muller on the two uniform values of one counter).
  double Normal(std::uint64_t index) const;
  // +1 or -1 with equal probability.
  float Sign(std::uint64_t index) const;

  // values[i] = the draw of index first + i.
  void FillNormal(std::span<float> values, std::uint64_t first = 0) const;
  void FillSigns(std::span<float> values, std::uint64_t first = 0) const;
  // matrix(i, j) = Normal((first_row + i) * columns + j): rows of one large random matrix.
  void FillNormal(ViewF matrix, std::int64_t first_row = 0) const;

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace caldera::linalg

#endif  // CALDERA_NUMERICS_LINALG_RANDOM_H_
