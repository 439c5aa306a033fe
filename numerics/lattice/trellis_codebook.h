// The Codebook of tail-biting bitshift trellis codes over numerics/kernels/trellis.h.
//
// A sequence is 64 rows of one column (fewer in the last group); row i of its 8-vector v is the
// symbol in bits k i .. k i + k - 1 of code v. The value of state s is the quantile
//   Phi^-1(((a s mod 2^L) + 1/2) / 2^L),
// Phi the normal distribution function. An odd a near a golden section of 2^L spreads the values
// that follow a state evenly, so each set of 2^k successors is a quantiser of its own; a was chosen
// by measurement for each pair (docs/algorithms.md, "Trellis").
#ifndef CALDERA_NUMERICS_LATTICE_TRELLIS_CODEBOOK_H_
#define CALDERA_NUMERICS_LATTICE_TRELLIS_CODEBOOK_H_

#include <cstddef>
#include <cstdint>

#include "common/base/types.h"
#include "numerics/kernels/trellis.h"
#include "numerics/lattice/codebook.h"

namespace caldera::lattice {

// Immutable; safe from any thread. Gaussian mean squared error at input_rms() = 1, 64 rows:
//   L    2 bits  3 bits  4 bits
//   10   .0748   .0193   .0052
//   12   .0742   .0188   .0048
class TrellisCodebook final : public Codebook {
 public:
  // `state_bits` L: 10 or 12; bits: 2, 3 or 4.
  TrellisCodebook(int state_bits, base::Bits bits);

  base::Bits bits() const override { return bits_; }
  float input_rms() const override { return 1; }
  double gaussian_error() const override;
  bool exact() const override { return false; }
  std::size_t sequence() const override { return 8; }
  void Encode(const float* x, std::size_t stride, std::size_t count, std::uint32_t* codes,
              float* decoded) const override;
  void Decode(const CodeRows& codes, float* out, std::size_t stride) const override;

 private:
  base::Bits bits_;
  kernels::TrellisCode code_;
};

}  // namespace caldera::lattice

#endif  // CALDERA_NUMERICS_LATTICE_TRELLIS_CODEBOOK_H_
