// The Codebook of the E8P family over numerics/kernels/e8p.h: 2, 3 and 4 bits per value.
#ifndef CALDERA_NUMERICS_LATTICE_E8P_CODEBOOK_H_
#define CALDERA_NUMERICS_LATTICE_E8P_CODEBOOK_H_

#include <cstddef>
#include <cstdint>

#include "common/base/types.h"
#include "numerics/kernels/e8p.h"
#include "numerics/lattice/codebook.h"

namespace caldera::lattice {

// Gaussian mean squared error over variance at input_rms(), measured on 8e6 values:
//   2 bits   E8P                    rms 1.03   .0914
//   3 bits   E8P + E8 ball / 2.04   rms  .98   .0296
//   4 bits   E8P + E8P / 3.70       rms  .90   .0079
// Immutable; safe from any thread.
class E8pCodebook final : public Codebook {
 public:
  explicit E8pCodebook(kernels::E8pResidual residual) : residual_(residual) {}

  base::Bits bits() const override;
  float input_rms() const override;
  double gaussian_error() const override;
  bool exact() const override { return residual_ == kernels::E8pResidual::kNone; }
  void Encode(const float* x, std::size_t stride, std::size_t count, std::uint32_t* codes,
              float* decoded) const override;
  void Decode(const CodeRows& codes, float* out, std::size_t stride) const override;

 private:
  kernels::E8pResidual residual_;
};

}  // namespace caldera::lattice

#endif  // CALDERA_NUMERICS_LATTICE_E8P_CODEBOOK_H_
