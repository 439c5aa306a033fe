// Block-diagonal orthonormal Sylvester-Hadamard transforms with random signs: the rotations that
// make weights and Hessians incoherent (QuIP#, arXiv 2402.04396, section 3).
//
// T = diag(H, H, ...) with H the b x b matrix H(i, j) = (-1)^popcount(i & j) / sqrt(b); H = H^T =
// H^-1. With S = diag(signs), kForward is x -> T S x and kInverse is x -> S T x, so each undoes the
// other. Single-threaded; safe from any thread on disjoint data. Vectorised for the CPU at hand;
// the same instruction set gives the same bits for a block wherever it lies and however many
// follow.
#ifndef CALDERA_NUMERICS_KERNELS_HADAMARD_H_
#define CALDERA_NUMERICS_KERNELS_HADAMARD_H_

#include <cstddef>
#include <cstdint>

namespace caldera::kernels {

enum class Direction { kForward, kInverse };

// The largest power of two <= 128 that divides `size` (1 for odd sizes, 128 for 0).
std::int64_t HadamardBlock(std::int64_t size);

// rows x columns window of floats; element (i, j) is data[i * stride + j]. Not owned.
struct RowWindow {
  float* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;
};

// The input side, in place: each row (as a column vector of `columns` values) is transformed on its
// own. `columns` is a multiple of `block`, a power of two <= 1024. signs: `columns` values of +-1,
// or null for none. rows * columns * log2(block) additions.
void HadamardAlongRows(RowWindow window, std::size_t block, const float* signs,
                       Direction direction);

// The output side, in place: each column is transformed, so rows mix within their block of `block`
// rows. `rows` is a multiple of `block`. signs: `rows` values of +-1, or null. Same cost.
void HadamardAcrossRows(RowWindow window, std::size_t block, const float* signs,
                        Direction direction);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_HADAMARD_H_
