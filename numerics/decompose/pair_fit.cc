#include "numerics/decompose/pair_fit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/downdate.h"
#include "numerics/decompose/factor_rounding.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/linalg/factor.h"
#include "numerics/linalg/parallel_blas.h"
#include "numerics/linalg/random.h"

namespace caldera::decompose {
namespace {

constexpr std::uint64_t kSketchStream = 21;
constexpr std::uint64_t kMixingStream = 22;
constexpr std::int64_t kOversampling = 8;
constexpr int kPowerRounds = 6;
// Singular values below this part of the largest count as this much in the first L: a rank beyond
// that of the matrix then repairs rounding instead of making the regressions singular.
constexpr double kSmallestValue = 1e-3;
constexpr int kAlternations = 6;
// An alternation that leaves more of the squared error than this is the last.
constexpr double kWorthwhile = .995;
// Scales of a factor that are tried: those for normal values times powers of this.
constexpr float kWidening = 1.4F;
constexpr int kWidenings = 14;

linalg::MatrixD TransposeTimes(Context& context, linalg::ConstViewF l, linalg::ConstViewF a) {
  return dist::TransposeTimes(l, a, context.partition, context.communicator);
}

linalg::MatrixD GramOfRows(linalg::ConstViewF rows) {
  const linalg::MatrixD wide = Widen(rows);
  linalg::MatrixD gram(rows.rows, rows.rows);
  linalg::Gemm(wide, linalg::Transposed(wide.view()), gram.view());
  return gram;
}

// ||A - L R||_F^2: products in float32, sum in float64.
double SquaredError(Context& context, linalg::ConstViewF a, const linalg::MatrixF& l,
                    const linalg::MatrixF& r) {
  linalg::MatrixF rest(a.rows, a.columns);
  linalg::Copy(a, rest.view());
  linalg::GemmByRows(l, r, rest.view(), linalg::kSubtractFrom, context.block_rows());
  return dist::Dot(rest.view(), rest.view(), context.partition, context.communicator);
}

// The top singular vectors and values of a matrix, nearly.
struct Subspace {
  linalg::MatrixF left;        // m x r, orthonormal columns
  std::vector<double> values;  // r, descending
};

// Orthonormal columns (m x width) that nearly span the top left singular vectors of A: a Gaussian
// sketch A S, then rounds of A A^T.
absl::StatusOr<linalg::MatrixF> RangeOf(Context& context, linalg::ConstViewF a, std::int64_t width,
                                        std::uint64_t seed) {
  linalg::MatrixF sketch(a.columns, width);
  linalg::Random(seed, kSketchStream).FillNormal(sketch.view());
  linalg::MatrixF y = LocalProduct(context, a, sketch);
  CALDERA_RETURN_IF_ERROR(linalg::OrthonormalizeColumns(y.view()));
  for (int round = 0; round < kPowerRounds; ++round) {
    const linalg::MatrixF z = Narrow(TransposeTimes(context, y.view(), a));
    y = LocalProduct(context, a, linalg::Transposed(z.view()));
    CALDERA_RETURN_IF_ERROR(linalg::OrthonormalizeColumns(y.view()));
  }
  return y;
}

// Rayleigh-Ritz on a range a little wider than the rank.
absl::StatusOr<Subspace> TopSubspace(Context& context, linalg::ConstViewF a,
                                     const PairOptions& options) {
  const std::int64_t width = std::min({options.rank + kOversampling, a.rows, a.columns});
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF range, RangeOf(context, a, width, options.seed));
  const linalg::MatrixF rows = Narrow(TransposeTimes(context, range.view(), a));
  CALDERA_ASSIGN_OR_RETURN(const linalg::SymmetricEigen eigen,
                           linalg::EigenOfSymmetric(GramOfRows(rows.view()).view()));
  linalg::MatrixF turn(width, options.rank);
  linalg::Copy(eigen.vectors.view().Columns(0, options.rank), turn.view());
  Subspace top{LocalProduct(context, range, turn), {}};
  for (std::int64_t k = 0; k < options.rank; ++k) {
    top.values.push_back(std::sqrt(std::max(0.0, eigen.values[static_cast<std::size_t>(k)])));
  }
  return top;
}

// What `round(widening)` gives at the scales that leave the least `error(factor)`. Scales for
// normal values cut off the large ones of a factor of data with a few dominant rows or columns.
// Halves have no largest value to speak of: one try.
template <typename Round, typename Error>
absl::StatusOr<Factor> AtBestScales(base::Bits bits, const Round& round, const Error& error) {
  CALDERA_ASSIGN_OR_RETURN(Factor best, round(1.0F));
  if (bits.value() == 16) return best;
  double least = error(best);
  float widening = kWidening;
  for (int k = 1; k < kWidenings; ++k, widening *= kWidening) {
    CALDERA_ASSIGN_OR_RETURN(Factor next, round(widening));
    const double left = error(next);
    if (left >= least) break;
    least = left;
    best = std::move(next);
  }
  return best;
}

// L rounded in the metric R R^T = `gram`.
absl::StatusOr<Factor> RoundedLeft(Context& context, linalg::ConstViewF l, linalg::ConstViewD gram,
                                   base::Bits bits) {
  const auto round = [&](float widening) {
    return RoundLeft(context, l, gram, {bits, FactorRounding::kFeedback, widening});
  };
  const auto error = [&](const Factor& factor) {
    const linalg::MatrixD change = Widen(Difference(factor.decoded.view(), l).view());
    linalg::MatrixD seen(change.rows(), change.columns());
    linalg::GemmByRows(change, gram, seen.view(), {}, context.block_rows());
    return linalg::Dot(std::as_const(seen).view(), change.view());
  };
  return AtBestScales(bits, round, error);
}

// R rounded in the metric L^T L = `gram`.
absl::StatusOr<Factor> RoundedRight(Context& context, linalg::ConstViewF r, linalg::ConstViewD gram,
                                    base::Bits bits) {
  const auto round = [&](float widening) {
    return RoundRightAgainstLeft(context, r, gram, bits, widening);
  };
  const auto error = [&](const Factor& factor) {
    const linalg::MatrixD change = Widen(Difference(factor.decoded.view(), r).view());
    linalg::MatrixD seen(change.rows(), change.columns());
    linalg::GemmByColumns(gram, change, seen.view());
    return linalg::Dot(std::as_const(seen).view(), change.view());
  };
  return AtBestScales(bits, round, error);
}

// U S^(1/2) M rounded in the metric of its counterpart M^T S^(1/2) V^T, with a random orthogonal M:
// half of the spectrum in each factor, in a basis that spreads it over all rank indices, suits
// rounding with feedback on both sides.
absl::StatusOr<Factor> FirstLeft(Context& context, const Subspace& top,
                                 const PairOptions& options) {
  const std::int64_t rank = options.rank;
  linalg::MatrixF root(rank, rank);
  linalg::Random(options.seed, kMixingStream).FillNormal(root.view());
  CALDERA_RETURN_IF_ERROR(linalg::OrthonormalizeColumns(root.view()));
  for (std::int64_t k = 0; k < rank; ++k) {
    const double value =
        std::max(top.values[static_cast<std::size_t>(k)], kSmallestValue * top.values[0]);
    const auto scale = static_cast<float>(std::sqrt(value));
    for (std::int64_t j = 0; j < rank; ++j) root(k, j) *= scale;
  }
  const linalg::MatrixD wide = Widen(root.view());
  linalg::MatrixD gram(rank, rank);
  linalg::Gemm(linalg::Transposed(wide.view()), wide, gram.view());
  const linalg::MatrixF l = LocalProduct(context, top.left, root);
  return RoundedLeft(context, l.view(), gram.view(), options.bits);
}

// R = (L^T L)^-1 L^T A, rounded.
absl::StatusOr<Factor> RightFor(Context& context, linalg::ConstViewF a, linalg::ConstViewF l,
                                base::Bits bits) {
  const linalg::MatrixD gram = dist::Gram(l, context.partition, context.communicator);
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(gram.view()));
  linalg::MatrixD r = TransposeTimes(context, l, a);
  linalg::SolveLeftByColumns(factor.view(), r.view());
  linalg::SolveLeftByColumns(linalg::Transposed(factor.view()), r.view());
  return RoundedRight(context, Narrow(r).view(), gram.view(), bits);
}

// L = A R^T (R R^T)^-1, rounded.
absl::StatusOr<Factor> LeftFor(Context& context, linalg::ConstViewF a, linalg::ConstViewF r,
                               base::Bits bits) {
  const linalg::MatrixD gram = GramOfRows(r);
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(gram.view()));
  linalg::MatrixD l = Widen(LocalProduct(context, a, linalg::Transposed(r)).view());
  linalg::SolveRightByRows(linalg::Transposed(factor.view()), l.view(), context.block_rows());
  linalg::SolveRightByRows(factor.view(), l.view(), context.block_rows());
  return RoundedLeft(context, Narrow(l).view(), gram.view(), bits);
}

}  // namespace

absl::StatusOr<FittedPair> FitPair(Context& context, linalg::ConstViewF a,
                                   const PairOptions& options) {
  FittedPair fitted;
  CALDERA_ASSIGN_OR_RETURN(const Subspace top, TopSubspace(context, a, options));
  fitted.unquantised_squared =
      SquaredError(context, a, top.left, Narrow(TransposeTimes(context, top.left.view(), a)));
  CALDERA_ASSIGN_OR_RETURN(Factor l, FirstLeft(context, top, options));
  for (int round = 0; round < kAlternations; ++round) {
    if (round > 0) {
      CALDERA_ASSIGN_OR_RETURN(l, LeftFor(context, a, fitted.pair.r.decoded.view(), options.bits));
    }
    CALDERA_ASSIGN_OR_RETURN(Factor r, RightFor(context, a, l.decoded.view(), options.bits));
    const double squared = SquaredError(context, a, l.decoded, r.decoded);
    fitted.squared.push_back(squared);
    const double before = fitted.pair.squared;
    if (round == 0 || squared < before) fitted.pair = {std::move(l), std::move(r), squared};
    if (round > 0 && squared >= kWorthwhile * before) break;
  }
  return fitted;
}

}  // namespace caldera::decompose
