// Bulk conversions between float32 and the 16-bit floats of checkpoints and activations.
//
// To 16 bits: round to nearest, ties to even; overflow gives infinity, NaN stays NaN (quiet),
// subnormals are kept. To 32 bits: exact. Single-threaded; safe from any thread on disjoint data.
// `count` values; input and output must not overlap. Every instruction set gives the same bits.
#ifndef CALDERA_NUMERICS_KERNELS_CONVERT_H_
#define CALDERA_NUMERICS_KERNELS_CONVERT_H_

#include <cstddef>
#include <cstdint>

namespace caldera::kernels {

// IEEE 754 binary16, held as its bits.
void Float16ToFloat(const std::uint16_t* in, std::size_t count, float* out);
void FloatToFloat16(const float* in, std::size_t count, std::uint16_t* out);

// bfloat16 (the upper half of a float32), held as its bits.
void BFloat16ToFloat(const std::uint16_t* in, std::size_t count, float* out);
void FloatToBFloat16(const float* in, std::size_t count, std::uint16_t* out);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_CONVERT_H_
