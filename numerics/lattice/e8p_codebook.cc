#include "numerics/lattice/e8p_codebook.h"

namespace caldera::lattice {

using kernels::E8pResidual;

base::Bits E8pCodebook::bits() const {
  switch (residual_) {
    case E8pResidual::kNone:
      return base::Bits(2);
    case E8pResidual::kBall:
      return base::Bits(3);
    case E8pResidual::kE8p:
      break;
  }
  return base::Bits(4);
}

double E8pCodebook::gaussian_error() const {
  switch (residual_) {
    case kernels::E8pResidual::kNone:
      return .0914;
    case kernels::E8pResidual::kBall:
      return .0296;
    case kernels::E8pResidual::kE8p:
      return .0079;
  }
  return 1;
}

float E8pCodebook::input_rms() const {
  switch (residual_) {
    case E8pResidual::kNone:
      return 1.03F;
    case E8pResidual::kBall:
      return 0.98F;
    case E8pResidual::kE8p:
      break;
  }
  return 0.90F;
}

void E8pCodebook::Encode(const float* x, std::size_t stride, std::size_t count,
                         std::uint32_t* codes, float* decoded) const {
  kernels::E8pEncode(residual_, {x, stride, count}, codes, decoded);
}

void E8pCodebook::Decode(const CodeRows& codes, float* out, std::size_t stride) const {
  for (std::size_t v = 0; v < codes.rows; ++v) {
    kernels::E8pDecode(residual_, codes.data + v * codes.stride, codes.columns,
                       out + v * kCodeDimension * stride, stride);
  }
}

}  // namespace caldera::lattice
