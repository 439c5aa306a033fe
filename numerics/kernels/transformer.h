// The vector loops of a Llama-family transformer, float32.
//
// Single-threaded, safe from any thread on disjoint data; the same instruction set gives the same
// bits. `count` is the number of values; unless a comment says otherwise, an output may be the
// input itself. exp is good to about 1e-7 relative; sums run over a few SIMD registers, errors grow
// like log(count).
#ifndef CALDERA_NUMERICS_KERNELS_TRANSFORMER_H_
#define CALDERA_NUMERICS_KERNELS_TRANSFORMER_H_

#include <cstddef>

namespace caldera::kernels {

// out = x / sqrt(mean(x^2) + epsilon) * weight; the mean is summed in float64.
void RmsNorm(const float* x, const float* weight, std::size_t count, float epsilon, float* out);

// Rotary embedding, rotate-half convention (transformers, safetensors order), of one head in place:
// with h = half = head_dim / 2,  x[i] <- x[i] cos[i] - x[h+i] sin[i],  x[h+i] <- x[h+i] cos[i] +
// x[i] sin[i]. `cosine` and `sine`: `half` values for this position. x must not overlap the tables.
void RotateHalf(float* x, const float* cosine, const float* sine, std::size_t half);

// out = silu(gate) * up, silu(z) = z / (1 + exp(-z)); exact limits for large |z|.
void SiluTimes(const float* gate, const float* up, std::size_t count, float* out);

// x <- exp(x - max x) / sum, in place; entries of -infinity become 0 (at least one must be finite).
void Softmax(float* x, std::size_t count);

// log(sum(exp(x))) without overflow, summed in float64; -infinity for count == 0.
double LogSumExp(const float* x, std::size_t count);

// sum x y, accumulated in float32 (Dot) and in float64 (DotDouble).
float Dot(const float* x, const float* y, std::size_t count);
double DotDouble(const float* x, const float* y, std::size_t count);

// y += alpha x.
void Axpy(float alpha, const float* x, std::size_t count, float* y);

// max |x|; 0 for count == 0. A NaN gives some value: check with IsFinite first.
float MaxAbs(const float* x, std::size_t count);

// Whether no value is NaN or infinite.
bool IsFinite(const float* x, std::size_t count);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_TRANSFORMER_H_
