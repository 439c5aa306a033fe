#include "numerics/lattice/codebook.h"

#include <vector>

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

absl::StatusOr<CodebookFamily> CodebookFamily::Find(model::CodebookKind kind) {
  CodebookFamily family;
  for (int bits = 2; bits <= 4; ++bits) {
    CALDERA_ASSIGN_OR_RETURN(family.codebooks_[static_cast<std::size_t>(bits - 2)],
                             FindCodebook(kind, base::Bits(bits)));
  }
  return family;
}

void CodebookFamily::DecodeColumns(const CodeRows& codes, std::span<const std::uint8_t> column_bits,
                                   int base, float* out, std::size_t stride) const {
  std::vector<std::size_t> members;
  std::vector<std::uint32_t> gathered;
  std::vector<float> words;
  for (int bits = 2; bits <= 4; ++bits) {
    members.clear();
    for (std::size_t j = 0; j < codes.columns; ++j) {
      if (column_bits[j] == bits) members.push_back(j);
    }
    if (members.empty()) continue;
    gathered.resize(codes.rows * members.size());
    words.resize(kCodeDimension * gathered.size());
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      gathered[i] = codes.data[i / members.size() * codes.stride + members[i % members.size()]];
    }
    Of(bits).Decode({gathered.data(), codes.rows, members.size(), members.size()}, words.data(),
                    members.size());
    const float scale = RelativeScale(bits, base);
    for (std::size_t i = 0; i < words.size(); ++i) {
      out[i / members.size() * stride + members[i % members.size()]] = scale * words[i];
    }
  }
}

}  // namespace caldera::lattice
