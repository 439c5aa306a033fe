// The rotations that spread W and H evenly (QuIP#, arXiv 2402.04396, section 3): random signs D and
// a block-diagonal orthonormal Hadamard matrix B on each side,
//   W~ = B_out D_out W D_in B_in,   H~ = B_in D_in H D_in B_in,   W = D_out B_out W~ B_in D_in.
// All functions run in parallel over fixed blocks and give the same bits for any number of threads.
#ifndef CALDERA_NUMERICS_DECOMPOSE_INCOHERENCE_H_
#define CALDERA_NUMERICS_DECOMPOSE_INCOHERENCE_H_

#include <cstdint>
#include <vector>

#include "numerics/kernels/hadamard.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// One side: the block is the largest power of two <= 128 that divides the size (1: signs only).
struct Rotation {
  std::int64_t block = 1;
  std::vector<float> signs;  // +-1, one per row or column of the whole matrix
};

enum class Side { kInput, kOutput };

// The rotation of `size` channels that `seed` draws; the two sides use different random streams.
Rotation MakeRotation(std::int64_t size, std::uint64_t seed, Side side);

// 1 where the sign is -1, 0 elsewhere: how the checkpoint stores signs.
std::vector<std::uint8_t> SignBits(const Rotation& rotation);

// Each row of `rows` (k x n, n = signs of `input`) in place. k n log2(block) additions.
void RotateInputs(linalg::ViewF rows, const Rotation& input, kernels::Direction direction);

// The columns of `rows`, which are rows first_row ... of the whole matrix (k x n, both multiples of
// the block, signs over all rows), in place. Same cost.
void RotateOutputs(linalg::ViewF rows, const Rotation& output, std::int64_t first_row,
                   kernels::Direction direction);

// H~ from a symmetric H (n x n) in place; exactly symmetric afterwards.
void RotateSymmetric(linalg::ViewF hessian, const Rotation& input);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_INCOHERENCE_H_
