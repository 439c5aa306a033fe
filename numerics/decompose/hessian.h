// H = E[x x^T] of a linear layer's inputs: accumulation, storage order, and preparation for
// Decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_HESSIAN_H_
#define CALDERA_NUMERICS_DECOMPOSE_HESSIAN_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/interrupt.h"
#include "numerics/dist/shared_matrix.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// Sum of x x^T over tokens, not yet divided, as a packed lower triangle (row i holds columns 0..i,
// rows one after another: n (n + 1) / 2 values), and the number of tokens. Partial sums of several
// ranges are added in float64 in range order.
struct HessianSum {
  std::int64_t size = 0;  // n
  std::int64_t tokens = 0;
  std::vector<float> packed_lower;  // n (n + 1) / 2
};

// Accumulates tiles of one Hessian. With `ranks` > 1 each rank owns a fixed subset of the tiles and
// sees all activations; the caller adds what Take gives on each (exact: tiles are disjoint). The
// sum is the same bits for any number of ranks and threads: each tile adds the same chunks in the
// same order.
class HessianAccumulator {
 public:
  // n x n, tiles owned by `rank` of `ranks`.
  HessianAccumulator(std::int64_t size, int rank, int ranks);
  HessianAccumulator(HessianAccumulator&&) noexcept;
  HessianAccumulator& operator=(HessianAccumulator&&) noexcept;
  ~HessianAccumulator();

  // Adds X^T X for X tokens x n. Chunks must come in a fixed order (one call per window).
  void Add(linalg::ConstViewF activations);
  // This rank's tiles in a full packed triangle, zero elsewhere; sums over ranks are exact.
  HessianSum Take() &&;

 private:
  struct Tiles;
  std::unique_ptr<Tiles> tiles_;
};

// H = sum of partials / sum of tokens, full symmetric n x n. INVALID_ARGUMENT when empty, sizes
// differ or tokens == 0.
absl::StatusOr<linalg::MatrixF> MeanHessian(std::span<const HessianSum> partials);

// H as Decompose wants it: rotated by the input transform, scaled, damped, factored. Shared by all
// matrices with this input (q/k/v, gate/up). Memory: 2 n^2 floats and H as given, once for the
// ranks of a host that can share. With several ranks it must be destroyed on all of them.
class PreparedHessian {
 public:
  PreparedHessian(PreparedHessian&&) noexcept;
  PreparedHessian& operator=(PreparedHessian&&) noexcept;
  ~PreparedHessian();

  std::int64_t size() const;
  struct State;  // numerics/decompose/hessian_state.h, internal
  const State& state() const { return *state_; }

 private:
  friend absl::StatusOr<PreparedHessian> PrepareHessian(dist::SharedMatrix, std::uint64_t,
                                                        dist::Communicator&,
                                                        const dist::Interrupt&);
  explicit PreparedHessian(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// `hessian` n x n symmetric, as given (dead channels, singular and unnormalised are fine) and
// published; `input_seed` draws the signs of the input transform. INVALID_ARGUMENT for NaN,
// infinity or asymmetry; FAILED_PRECONDITION when the damping ladder ends without a positive
// definite matrix; CANCELLED when interrupted, which is asked between panels of 128 columns.
// Collective; errors are the same on every rank. n^3/3 flops, split between the ranks that share
// memory.
absl::StatusOr<PreparedHessian> PrepareHessian(dist::SharedMatrix hessian, std::uint64_t input_seed,
                                               dist::Communicator& communicator,
                                               const dist::Interrupt& interrupt = {});
// The same without other ranks.
absl::StatusOr<PreparedHessian> PrepareHessian(linalg::MatrixF hessian, std::uint64_t input_seed);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_HESSIAN_H_
