#include "numerics/decompose/low_rank.h"

#include <optional>
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

constexpr std::uint64_t kStartSeed = 0x5eed;
constexpr std::uint64_t kStartStream = 12;
constexpr std::uint64_t kMixingStream = 13;

double Product(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

// One regression: what all its steps read.
class Fit {
 public:
  Fit(Context& context, linalg::ConstViewF a, const Metric& metric, const FitOptions& options)
      : context_(context), a_(a), metric_(metric), options_(options) {}

  absl::StatusOr<LowRank> Run() {
    if (!metric_.IsIdentity()) weighted_ = LocalProduct(context_, a_, metric_.hessian);
    CALDERA_RETURN_IF_ERROR(context_.CheckStop());
    total_ = Dot(a_, weighted());
    CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF l, Subspace());
    std::optional<LowRank> best;
    for (int round = 0; round < options_.alternations; ++round) {
      CALDERA_ASSIGN_OR_RETURN(Factor r, RightFor(l.view()));
      CALDERA_RETURN_IF_ERROR(context_.CheckStop());
      CALDERA_ASSIGN_OR_RETURN(LowRank pair, LeftFor(std::move(r)));
      if (round + 1 < options_.alternations) l = pair.l.decoded;
      CALDERA_RETURN_IF_ERROR(context_.CheckStop());
      if (!best || pair.squared < best->squared) best = std::move(pair);
    }
    return *std::move(best);
  }

 private:
  linalg::ConstViewF weighted() const {  // A H
    return metric_.IsIdentity() ? a_ : weighted_.view();
  }
  double Dot(linalg::ConstViewF x, linalg::ConstViewF y) {
    return dist::Dot(x, y, context_.partition, context_.communicator);
  }
  linalg::MatrixD TransposeTimes(linalg::ConstViewF l) {
    context_.flops += 2 * Product(l.rows, l.columns, a_.columns);
    return dist::TransposeTimes(l, a_, context_.partition, context_.communicator);
  }
  linalg::MatrixD Gram(linalg::ConstViewF l) {
    context_.flops += Product(l.rows, l.columns, l.columns);
    return dist::Gram(l, context_.partition, context_.communicator);
  }
  absl::Status Orthonormalize(linalg::MatrixF& y) {
    context_.flops += 4 * Product(y.rows(), y.columns(), y.columns());
    return dist::OrthonormalizeColumns(y.view(), context_.partition, context_.communicator);
  }

  // Orthonormal columns (local rows x r) that nearly span the top eigenvectors of A H A^T, for
  // feedback in a random basis: mixed rank indices make the factors' metrics even, which is what it
  // wants.
  absl::StatusOr<linalg::MatrixF> Subspace() {
    linalg::MatrixF y(a_.rows, options_.rank);
    if (options_.start.empty()) {
      const linalg::Random random(kStartSeed, kStartStream);
      random.FillNormal(y.view(), context_.first_row());
    } else {
      linalg::Copy(options_.start, y.view());
    }
    for (int round = 0; round < options_.subspace_rounds; ++round) {
      const linalg::MatrixF z = Narrow(TransposeTimes(y.view()));
      y = LocalProduct(context_, weighted(), linalg::Transposed(z.view()));
      CALDERA_RETURN_IF_ERROR(Orthonormalize(y));
      CALDERA_RETURN_IF_ERROR(context_.CheckStop());
    }
    if (options_.rounding == FactorRounding::kPlain) return y;
    CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF mixing, Mixing());
    return LocalProduct(context_, y, mixing);
  }

  absl::StatusOr<linalg::MatrixF> Mixing() {
    linalg::MatrixF mixing(options_.rank, options_.rank);
    linalg::Random(kStartSeed, kMixingStream).FillNormal(mixing.view());
    CALDERA_RETURN_IF_ERROR(linalg::OrthonormalizeColumns(mixing.view()));
    context_.flops += 4 * Product(options_.rank, options_.rank, options_.rank);
    return mixing;
  }

  // R = (L^T L)^-1 L^T A, rounded.
  absl::StatusOr<Factor> RightFor(linalg::ConstViewF l) {
    CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(Gram(l).view()));
    linalg::MatrixD r = TransposeTimes(l);
    linalg::SolveLeftByColumns(factor.view(), r.view());
    linalg::SolveLeftByColumns(linalg::Transposed(factor.view()), r.view());
    context_.flops += 2 * Product(r.rows(), r.rows(), r.columns());
    return RoundRight(context_, Narrow(r).view(), metric_, {options_.r_bits, options_.rounding});
  }

  // L = (A H) R^T (R H R^T)^-1, rounded, and the error of the pair.
  absl::StatusOr<LowRank> LeftFor(Factor r) {
    const linalg::ConstViewF rows = std::as_const(r.decoded).view();
    const linalg::MatrixD gram = GramOfRows(rows);
    const linalg::MatrixF cross = LocalProduct(context_, weighted(), linalg::Transposed(rows));
    CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(gram.view()));
    linalg::MatrixD l = Widen(cross.view());
    linalg::SolveRightByRows(linalg::Transposed(factor.view()), l.view(), context_.block_rows());
    linalg::SolveRightByRows(factor.view(), l.view(), context_.block_rows());
    context_.flops += 2 * Product(l.rows(), l.columns(), l.columns());
    CALDERA_ASSIGN_OR_RETURN(Factor rounded, RoundLeft(context_, Narrow(l).view(), gram.view(),
                                                       {options_.l_bits, options_.rounding}));
    const linalg::ConstViewF left = std::as_const(rounded.decoded).view();
    const double squared =
        total_ - 2 * Dot(left, cross.view()) + linalg::Dot(Gram(left).view(), gram.view());
    return LowRank{std::move(rounded), std::move(r), squared};
  }

  // R H R^T in float64.
  linalg::MatrixD GramOfRows(linalg::ConstViewF rows) {
    const linalg::MatrixD wide = Widen(rows);
    linalg::MatrixD gram(rows.rows, rows.rows);
    context_.flops += 2 * Product(rows.rows, rows.rows, rows.columns);
    if (metric_.IsIdentity()) {
      linalg::Gemm(wide, linalg::Transposed(wide.view()), gram.view());
      return gram;
    }
    const linalg::MatrixF product =
        SharedProduct(context_, metric_.hessian, linalg::Transposed(rows));
    linalg::Gemm(wide, Widen(product.view()), gram.view());
    return gram;
  }

  Context& context_;
  linalg::ConstViewF a_;
  Metric metric_;
  FitOptions options_;
  linalg::MatrixF weighted_;
  double total_ = 0;
};

}  // namespace

absl::StatusOr<LowRank> FitLowRank(Context& context, linalg::ConstViewF a, const Metric& metric,
                                   const FitOptions& options) {
  const StepTimer timer(context.seconds, Step::kLowRank);
  return Fit(context, a, metric, options).Run();
}

}  // namespace caldera::decompose
