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

// B = (H R^T) C^-T.
absl::StatusOr<linalg::MatrixF> BasisOf(Context& context, linalg::ConstViewF hessian,
                                        linalg::ConstViewF rows) {
  const std::int64_t r = rows.rows;
  const linalg::MatrixF product = SharedProduct(context, hessian, linalg::Transposed(rows));
  linalg::MatrixD wide(product.rows(), r);
  linalg::Copy(product.view(), wide.view());
  linalg::MatrixD wide_rows(r, rows.columns);
  linalg::Copy(rows, wide_rows.view());
  linalg::MatrixD gram(r, r);
  linalg::Gemm(wide_rows, wide, gram.view());
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(gram.view()));
  linalg::SolveRightByRows(linalg::Transposed(factor.view()), wide.view());
  context.flops += 3.0 * static_cast<double>(rows.columns) * static_cast<double>(r * r);
  linalg::MatrixF basis(product.rows(), r);
  linalg::Copy(std::as_const(wide).view(), basis.view());
  return basis;
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
  CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF basis, BasisOf(context, hessian, rows));
  const float delta = DeltaOf(hessian, basis.view(), ridge);
  const float repaired = std::sqrt(1 - ridge.unrepaired);
  std::for_each_n(basis.data(), basis.rows() * basis.columns(),
                  [&](float& value) { value *= repaired; });
  absl::Status status;
  for (float raise = 1; raise <= kLargestRaise; raise *= 2) {
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

absl::StatusOr<linalg::MatrixD> RidgedCholesky(linalg::ConstViewD s) {
  const std::int64_t r = s.rows;
  double trace = 0;
  for (std::int64_t i = 0; i < r; ++i) trace += s(i, i);
  absl::Status status;
  for (double ridge = 1e-8; ridge < 2; ridge *= 10) {
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
