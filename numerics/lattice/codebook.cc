#include "numerics/lattice/codebook.h"

#include "common/base/status.h"
#include "numerics/lattice/e8p_codebook.h"

namespace caldera::lattice {
absl::StatusOr<const Codebook*> FindCodebook(model::CodebookKind kind, base::Bits bits) {
  static const E8pCodebook codebooks[] = {E8pCodebook(kernels::E8pResidual::kNone),
                                          E8pCodebook(kernels::E8pResidual::kBall),
                                          E8pCodebook(kernels::E8pResidual::kE8p)};
  switch (kind) {
    case model::CodebookKind::kE8P:
      for (const E8pCodebook& codebook : codebooks) {
        if (codebook.bits() == bits) return &codebook;
      }
      return base::Unimplemented("E8P codebook has 2, 3 and 4 bits, not {}", bits.value());
  }
  return base::Unimplemented("codebook kind {} is not known", static_cast<int>(kind));
}

}  // namespace caldera::lattice
