#include "numerics/decompose/downdate.h"

#include <utility>

#include "common/base/status.h"
#include "numerics/linalg/factor.h"
#include "numerics/linalg/parallel_blas.h"
#include "numerics/linalg/random.h"

namespace caldera::decompose {
namespace {

constexpr std::uint64_t kStartSeed = 0x5eed;
constexpr std::uint64_t kStartStream = 11;

linalg::MatrixF Transpose(linalg::ConstViewF a) {
  linalg::MatrixF transposed(a.columns, a.rows);
  linalg::Copy(linalg::Transposed(a), transposed.view());
  return transposed;
}

// H R^T (n x r) and R H R^T, from float32 products.
struct Weighted {
  linalg::MatrixD product;
  linalg::MatrixD gram;
};

Weighted WeightedRows(Context& context, linalg::ConstViewF hessian, linalg::ConstViewF rows) {
  const std::int64_t r = rows.rows;
  Weighted weighted{Widen(SharedProduct(context, hessian, linalg::Transposed(rows)).view()),
                    linalg::MatrixD(r, r)};
  linalg::Gemm(Widen(rows), weighted.product, weighted.gram.view());
  context.flops += 3.0 * static_cast<double>(rows.columns) * static_cast<double>(r * r);
  return weighted;
}

// B = (H R^T) C^-T.
absl::StatusOr<linalg::MatrixF> BasisOf(const Weighted& weighted, double ridge) {
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor,
                           RidgedCholesky(weighted.gram.view(), ridge));
  linalg::MatrixD basis = weighted.product;
  linalg::SolveRightByRows(linalg::Transposed(factor.view()), basis.view());
  return Narrow(basis);
}

absl::StatusOr<linalg::MatrixF> FactorOf(linalg::ConstViewF hessian, linalg::ConstViewF basis,
                                         float delta) {
  linalg::MatrixF factor(hessian.rows, hessian.columns);
  linalg::Copy(hessian, factor.view());
  linalg::SyrkLowerByTiles(basis, factor.view(), linalg::kSubtractFrom);
  for (std::int64_t i = 0; i < hessian.rows; ++i) factor(i, i) += delta;
  CALDERA_RETURN_IF_ERROR(linalg::CholeskyLower(factor.view()));
  linalg::ZeroStrictUpper(factor.view());
  return factor;
}

}  // namespace

absl::StatusOr<DowndatedHessian> Downdate(Context& context, linalg::ConstViewF hessian,
                                          linalg::ConstViewF rows, float delta) {
  constexpr float kLargestRaise = 64;
  const Weighted weighted = WeightedRows(context, hessian, rows);
  absl::Status status;
  // Where rows of R nearly depend on others, the rounding of the float32 products may make B B^T
  // exceed H: a larger ridge makes B smaller.
  double ridge = kSmallestRidge;
  for (float raise = 1; raise <= kLargestRaise; raise *= 2, ridge *= 10) {
    CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF basis, BasisOf(weighted, ridge));
    auto factor = FactorOf(hessian, basis.view(), delta * raise);
    const auto n = static_cast<double>(hessian.rows);
    context.flops += n * n * static_cast<double>(rows.rows) + n * n * n / 3;
    if (factor.ok()) {
      return DowndatedHessian{std::move(basis), *std::move(factor), delta * raise};
    }
    status = factor.status();
  }
  return base::FailedPrecondition("downdated hessian: {}", base::MessageOf(status));
}

absl::StatusOr<linalg::MatrixF> TopEigenvectors(Context& context, linalg::ConstViewF hessian,
                                                std::int64_t count, int rounds) {
  linalg::MatrixF vectors(hessian.rows, count);
  linalg::Random(kStartSeed, kStartStream).FillNormal(vectors.view());
  for (int round = 0; round < rounds; ++round) {
    vectors = SharedProduct(context, hessian, vectors);
    CALDERA_RETURN_IF_ERROR(linalg::OrthonormalizeColumns(vectors.view()));
    context.flops += 4.0 * static_cast<double>(hessian.rows) * static_cast<double>(count * count);
  }
  return Transpose(vectors.view());
}

absl::StatusOr<linalg::MatrixD> RidgedCholesky(linalg::ConstViewD s, double first_ridge) {
  const std::int64_t r = s.rows;
  double trace = 0;
  for (std::int64_t i = 0; i < r; ++i) trace += s(i, i);
  absl::Status status;
  for (double ridge = first_ridge; ridge < 2; ridge *= 10) {
    linalg::MatrixD factor(r, r);
    linalg::Copy(s, factor.view());
    const double shift = trace > 0 ? ridge * trace / static_cast<double>(r) : 1;
    for (std::int64_t i = 0; i < r; ++i) factor(i, i) += shift;
    status = linalg::CholeskyLower(factor.view());
    if (!status.ok()) continue;
    linalg::ZeroStrictUpper(factor.view());
    return factor;
  }
  return status;
}

}  // namespace caldera::decompose
