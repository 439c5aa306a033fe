// The inner loop of order-independent sums (numerics/dist/exact_sum.h).
#ifndef CALDERA_NUMERICS_KERNELS_ROUNDED_ADD_H_
#define CALDERA_NUMERICS_KERNELS_ROUNDED_ADD_H_

#include <cstddef>

namespace caldera::kernels {

// sums[i] += (x[i] + shift) - shift, each operation rounded to float64: with shift = 1.5 * 2^52 * g
// the addend is the multiple of g nearest to x[i]. `count` values; x and sums must not overlap.
// Every instruction set gives the same bits. Single-threaded; safe from any thread on disjoint
// sums.
void AddRounded(const float* x, std::size_t count, double shift, double* sums);
void AddRounded(const double* x, std::size_t count, double shift, double* sums);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_ROUNDED_ADD_H_
