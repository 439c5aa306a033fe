#include "numerics/lattice/codebook.h"

#include "common/base/status.h"
#include "numerics/lattice/e8p_codebook.h"
#include "numerics/lattice/trellis_codebook.h"

namespace caldera::lattice {
namespace {

// The codebooks of one number of state bits, for 2, 3 and 4 bits; their tables are made on first
// use.
template <int kStateBits>
const TrellisCodebook& Trellis(std::size_t index) {
  static const TrellisCodebook codebooks[] = {
      {kStateBits, base::Bits(2)}, {kStateBits, base::Bits(3)}, {kStateBits, base::Bits(4)}};
  return codebooks[index];
}

}  // namespace

absl::StatusOr<const Codebook*> FindCodebook(model::CodebookKind kind, base::Bits bits) {
  static const E8pCodebook codebooks[] = {E8pCodebook(kernels::E8pResidual::kNone),
                                          E8pCodebook(kernels::E8pResidual::kBall),
                                          E8pCodebook(kernels::E8pResidual::kE8p)};
  if (bits.value() < 2 || bits.value() > 4) {
    return base::Unimplemented("codebook {} has 2, 3 and 4 bits, not {}", model::CodebookName(kind),
                               bits.value());
  }
  const auto index = static_cast<std::size_t>(bits.value() - 2);
  switch (kind) {
    case model::CodebookKind::kE8P:
      return &codebooks[index];
    case model::CodebookKind::kTrellis10:
      return &Trellis<10>(index);
    case model::CodebookKind::kTrellis12:
      return &Trellis<12>(index);
  }
  return base::Unimplemented("codebook kind {} is not known", static_cast<int>(kind));
}

}  // namespace caldera::lattice
