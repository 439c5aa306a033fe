// One state of a decomposition, Q + sum of low-rank parts, and what is done with it: the residual,
// the reported error, and the stored form. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_ITERATE_H_
#define CALDERA_NUMERICS_DECOMPOSE_ITERATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/compressed_matrix.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/incoherence.h"
#include "numerics/decompose/low_rank.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// Q as it is stored: this rank's rows.
struct CodedQ {
  std::vector<float> scales;              // one for each 64 local rows (model::kScaleRows)
  std::vector<std::uint32_t> codes;       // [ceil(local rows / 8)][n]
  std::vector<std::uint8_t> column_bits;  // [n], empty where all columns have the header's bits
};

// What is stored: codes and scales only. Every rank holds the codes of its rows of Q and L, and all
// of R.
struct Iterate {
  CodedQ q;
  Factor l;  // the parts side by side along the rank; `decoded` unused
  Factor r;
};

// Puts parts side by side along the rank; each rank but the last is a multiple of 8. Either bits
// are those of the parts.
Iterate MakeIterate(CodedQ q, const std::vector<const LowRank*>& parts,
                    const model::CompressedMatrixHeader& header);

// What the error is measured against.
class Objective {
 public:
  // `original`: local rows in the original basis, `given`: H as given, n x n. Computes tr(W H W^T).
  Objective(Context& context, linalg::ConstViewF original, linalg::ConstViewF given);

  // Rotations back to the original basis and the grid that the codes mean.
  struct Decoding {
    const lattice::CodebookFamily& family;
    const model::CompressedMatrixHeader& header;
    const Rotation& input;
    const Rotation& output;
  };
  // sqrt(tr(D H D^T) / tr(W H W^T)) with D = W - decoded codes, in the original basis, products in
  // float32 and sums in float64; 0 when both are 0, INVALID_ARGUMENT when only the denominator is.
  // Collective. 2 m n^2 + 2 m n r flops over all ranks.
  absl::StatusOr<double> RelativeError(const Iterate& iterate, const Decoding& decoding);

 private:
  double WeightedSquare(linalg::ConstViewF rows);

  Context& context_;
  linalg::ConstViewF original_;
  linalg::ConstViewF given_;
  double reference_ = 0;
};

// The rows that the codes decode to, in the original basis (local rows x n).
absl::StatusOr<linalg::MatrixF> DecodeLocalRows(Context& context, const Iterate& iterate,
                                                const Objective::Decoding& decoding);

// Codes of all ranks as one CompressedMatrix on rank 0 (empty elsewhere); Q and L scales are
// multiplied by `unit`, a power of two. One gather of the codes of Q and one of L.
model::CompressedMatrix GatherMatrix(Context& context, const Iterate& iterate,
                                     const Objective::Decoding& decoding, float unit);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_ITERATE_H_
