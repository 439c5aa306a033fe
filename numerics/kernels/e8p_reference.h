// The plain twin of e8p.h: one vector at a time, straight from the definitions. For tests and
// benchmarks.
#ifndef CALDERA_NUMERICS_KERNELS_E8P_REFERENCE_H_
#define CALDERA_NUMERICS_KERNELS_E8P_REFERENCE_H_

#include <array>
#include <cstdint>

#include "numerics/kernels/e8p.h"

namespace caldera::kernels::reference {

using Word8 = std::array<float, 8>;

// The codeword of a 2-bit code (0 .. 65535), and of a code of the 256-word E8 ball (0 .. 255).
Word8 E8pWord(std::uint32_t code);
Word8 E8BallWord(std::uint32_t code);
// The codeword of a 2-, 3- or 4-bit code.
Word8 DecodeVector(E8pResidual residual, std::uint32_t code);

// Nearest E8P codeword by the score of every pattern under both shifts (512 scores), and nearest
// word of the ball by all 256 distances, in float64.
std::uint32_t NearestE8p(const Word8& x);
std::uint32_t NearestInE8Ball(const Word8& x);
// The stages as E8pEncode takes them.
std::uint32_t EncodeVector(E8pResidual residual, const Word8& x);

}  // namespace caldera::kernels::reference

#endif  // CALDERA_NUMERICS_KERNELS_E8P_REFERENCE_H_
