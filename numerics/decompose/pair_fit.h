// A ~ L R in the Frobenius norm with both factors rounded: the low-rank part of LPLR
// (arXiv 2310.11028; docs/algorithms.md, "Data matrices"). One rank. Internal to
// numerics/decompose.
#ifndef CALDERA_NUMERICS_DECOMPOSE_PAIR_FIT_H_
#define CALDERA_NUMERICS_DECOMPOSE_PAIR_FIT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/types.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/low_rank.h"
#include "numerics/linalg/matrix.h"

namespace caldera::decompose {

struct PairOptions {
  std::int64_t rank = 0;  // 1 .. min(m, n)
  base::Bits bits{4};     // of L and R: 4, 8, 16
  std::uint64_t seed = 0;
};

// The best pair found, and how it came about.
struct FittedPair {
  LowRank pair;
  std::vector<double> squared;     // ||A - L R||_F^2 after each alternation
  double unquantised_squared = 0;  // the same of the sketch, before anything is rounded
};

// `a`: m x n, whole on this rank. 28 m n (r + 8) flops for the sketch, 8 m n r for each of up to 6
// alternations.
absl::StatusOr<FittedPair> FitPair(Context& context, linalg::ConstViewF a,
                                   const PairOptions& options);

}  // namespace caldera::decompose

#endif  // CALDERA_NUMERICS_DECOMPOSE_PAIR_FIT_H_
