#include "numerics/decompose/downdate.h"

#include <algorithm>
#include <cmath>
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

// Replaces `factor` by that of H - B B^T + delta I, zero above the diagonal. The ranks that share
// it split the work.
absl::Status FactorDowndated(Context& context, linalg::ConstViewF hessian, linalg::ConstViewF basis,
                             float delta, dist::SharedMatrix& factor) {
  const linalg::ViewF a = factor.writable();
  factor.ForOwnRows([&](std::int64_t i) { std::copy_n(hessian.row(i), i + 1, a.row(i)); });
  factor.Publish();
  linalg::SyrkLowerByTiles(basis, a, linalg::kSubtractFrom, linalg::kDefaultBlock, factor.share());
  factor.Publish();
  factor.ForOwnRows([&](std::int64_t i) {
    a(i, i) += delta;
    std::fill(a.row(i) + i + 1, a.row(i) + a.columns, 0.0F);
  });
  factor.Publish();
  const auto n = static_cast<double>(hessian.rows);
  context.flops += (n * n * static_cast<double>(basis.columns) + n * n * n / 3) /
                   static_cast<double>(factor.share().size);
  return AgreeWithRoot(linalg::CholeskyLower(a, factor.share(), [&] { factor.Publish(); }),
                       context.communicator);
}

float DeltaOf(linalg::ConstViewF hessian, linalg::ConstViewF basis, Ridge ridge) {
  constexpr double kSmallestMean = 1e-3;
  double left = 0;
  for (std::int64_t i = 0; i < hessian.rows; ++i) {
    left += static_cast<double>(hessian(i, i));
    for (std::int64_t k = 0; k < basis.columns; ++k) {
      left -= std::pow(static_cast<double>(basis(i, k)), 2);
    }
  }
  const double mean = std::max(left / static_cast<double>(hessian.rows), kSmallestMean);
  return ridge.absolute + ridge.relative * static_cast<float>(mean);
}

}  // namespace

absl::StatusOr<DowndatedHessian> Downdate(Context& context, linalg::ConstViewF hessian,
                                          linalg::ConstViewF rows, Ridge ridge) {
  constexpr float kLargestRaise = 64;
  const StepTimer timer(context.seconds, Step::kDowndate);
  const Weighted weighted = WeightedRows(context, hessian, rows);
  DowndatedHessian downdated;
  downdated.factor = dist::SharedMatrix(hessian.rows, hessian.columns, context.communicator);
  absl::Status status;
  // Where rows of R nearly depend on others, the rounding of the float32 products may make B B^T
  // exceed H: a larger ridge of R H R^T makes B smaller.
  double gram_ridge = kSmallestRidge;
  const float repaired = std::sqrt(1 - ridge.unrepaired);
  for (float raise = 1; raise <= kLargestRaise; raise *= 2, gram_ridge *= 10) {
    CALDERA_ASSIGN_OR_RETURN(downdated.basis, BasisOf(weighted, gram_ridge));
    const linalg::ConstViewF basis = std::as_const(downdated.basis).view();
    downdated.delta = raise * DeltaOf(hessian, basis, ridge);
    std::for_each_n(downdated.basis.data(), basis.rows * basis.columns,
                    [repaired](float& value) { value *= repaired; });
    status = FactorDowndated(context, hessian, basis, downdated.delta, downdated.factor);
    if (status.ok()) return downdated;
  }
  return base::FailedPrecondition("downdated hessian: {}", base::MessageOf(status));
}

absl::StatusOr<linalg::MatrixF> TopEigenvectors(Context& context, linalg::ConstViewF hessian,
                                                std::int64_t count, int rounds) {
  const StepTimer timer(context.seconds, Step::kEigenvectors);
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
