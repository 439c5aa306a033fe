// Rank-constrained regression with quantised factors: A ~ L R in the metric of H.
//
// For any M with M M^T = H the best L spans the top left singular vectors of A M, that is the top
// eigenvectors of A H A^T, found by subspace iteration with (A H) (A^T Y): no product A M, no
// eigendecomposition. Then R = (L^T L)^-1 L^T A and L = (A H) R^T (R H R^T)^-1 take turns, each
// rounded with feedback in the metric of the other (docs/algorithms.md, "Low-rank step"). L is
// distributed by rows, R is whole on every rank. Internal to numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_LOW_RANK_H_
#define CALDERA_NUMERICS_DECOMPOSE_LOW_RANK_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "numerics/decompose/context.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

// H and its lower Cholesky factor; both empty for the identity (plain SVD).
struct Metric {
  linalg::ConstViewF hessian;
  linalg::ConstViewF factor;
  bool IsIdentity() const { return hessian.empty(); }
};

// kFeedback: 4- and 8-bit factors in a random basis, rounded by LDLQ. kPlain: each to its nearest
// grid point, in the basis of the regression.
enum class FactorRounding { kFeedback, kPlain };

struct FitOptions {
  std::int64_t rank = 0;
  base::Bits l_bits{4};
  base::Bits r_bits{4};
  int subspace_rounds = 4;
  int alternations = 1;
  FactorRounding rounding = FactorRounding::kFeedback;
  linalg::ConstViewF
      start;  // local rows x rank: where the subspace iteration begins; empty = random
};

// Decoded values with the codes and scales they come from, laid out as in
// common/model/compressed_matrix.h for a matrix of this rank alone.
struct Factor {
  linalg::MatrixF decoded;
  std::vector<std::uint32_t> codes;
  std::vector<float> scales;
};

struct LowRank {
  Factor l;            // local rows x rank
  Factor r;            // rank x n, the same on every rank
  double squared = 0;  // tr((A - L R) H (A - L R)^T) as the alternation computes it

  std::int64_t rank() const { return l.decoded.columns(); }
};

// The best quantised pair of the alternation for the distributed `a` (local rows x n). Collectives:
// per round and alternation one reduction of r x n doubles and a few of r x r. 2 m n^2 + O(m n r +
// n^2 r) flops over all ranks.
absl::StatusOr<LowRank> FitLowRank(Context& context, linalg::ConstViewF a, const Metric& metric,
                                   const FitOptions& options);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_LOW_RANK_H_
