// Plain twins of the vectorised kernels: the definition by loops, what tests compare the fast ones
// with.
//
// Same arguments and preconditions as the kernels of the same name. The Hadamard transforms, the
// conversions and AddRounded give exactly the same bits; the others sum in float64 and agree to
// rounding.
#ifndef CALDERA_NUMERICS_KERNELS_REFERENCE_H_
#define CALDERA_NUMERICS_KERNELS_REFERENCE_H_

#include <cstddef>
#include <cstdint>

#include "numerics/kernels/hadamard.h"

namespace caldera::kernels::reference {

void HadamardAlongRows(RowWindow window, std::size_t block, const float* signs,
                       Direction direction);
void HadamardAcrossRows(RowWindow window, std::size_t block, const float* signs,
                        Direction direction);

void Float16ToFloat(const std::uint16_t* in, std::size_t count, float* out);
void FloatToFloat16(const float* in, std::size_t count, std::uint16_t* out);
void BFloat16ToFloat(const std::uint16_t* in, std::size_t count, float* out);
void FloatToBFloat16(const float* in, std::size_t count, std::uint16_t* out);

void RmsNorm(const float* x, const float* weight, std::size_t count, float epsilon, float* out);
void RotateHalf(float* x, const float* cosine, const float* sine, std::size_t half);
void SiluTimes(const float* gate, const float* up, std::size_t count, float* out);
void Softmax(float* x, std::size_t count);
double LogSumExp(const float* x, std::size_t count);
float Dot(const float* x, const float* y, std::size_t count);
double DotDouble(const float* x, const float* y, std::size_t count);
void Axpy(float alpha, const float* x, std::size_t count, float* y);
float MaxAbs(const float* x, std::size_t count);
bool IsFinite(const float* x, std::size_t count);

void AddRounded(const float* x, std::size_t count, double shift, double* sums);
void AddRounded(const double* x, std::size_t count, double shift, double* sums);

}  // namespace caldera::kernels::reference

#endif  // CALDERA_NUMERICS_KERNELS_REFERENCE_H_
