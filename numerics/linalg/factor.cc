#include "numerics/linalg/factor.h"

#include <lapacke.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "numerics/kernels/transformer.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::linalg {
namespace {

// Width of the panels of a factorisation, and of the tiles that its trailing update is cut into.
constexpr std::int64_t kPanel = 128;
constexpr std::int64_t kUpdateTile = 512;

lapack_int Int(std::int64_t value) { return static_cast<lapack_int>(value); }

// A row-major lower triangle is a column-major upper one: no transposition by LAPACKE.
lapack_int RawPotrf(ViewF a) {
  return LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', Int(a.rows), a.data, Int(a.stride));
}
lapack_int RawPotrf(ViewD a) {
  return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', Int(a.rows), a.data, Int(a.stride));
}

absl::Status PivotError(std::int64_t pivot, double value, std::int64_t size) {
  return base::FailedPrecondition(
      "matrix of size {} is not positive definite: pivot {} (from 0) is {}", size, pivot, value);
}

// Factors the diagonal block at `first` of a `size` x `size` matrix. LAPACK lets NaN pass, so the
// diagonal is checked here.
template <typename T>
absl::Status FactorDiagonalBlock(MatrixView<T> block, std::int64_t first, std::int64_t size) {
  PinBlasToOneThread();
  const lapack_int info = RawPotrf(block);
  const std::int64_t factored = info > 0 ? info - 1 : block.rows;
  for (std::int64_t i = 0; i < factored; ++i) {
    if (!(block(i, i) > 0) || !std::isfinite(block(i, i))) {
      return PivotError(first + i, static_cast<double>(block(i, i)), size);
    }
  }
  if (info > 0) {
    return PivotError(first + factored, static_cast<double>(block(factored, factored)), size);
  }
  return absl::OkStatus();
}

// Copies the lower triangle.
template <typename T>
void CopyLower(MatrixView<const T> from, MatrixView<T> to) {
  for (std::int64_t i = 0; i < from.rows; ++i) std::copy_n(from.row(i), i + 1, to.row(i));
}

// Every process factors a copy of its own of the diagonal block, so that all know the outcome; the
// first one stores it when all have read the block, which is when they meet. All meet before they
// return, whatever the outcome: the next one to write must not overtake one that still reads.
template <typename T>
absl::Status CholeskyOf(MatrixView<T> a, const Share& share, const std::function<void()>& meet,
                        const std::function<absl::Status()>& go_on) {
  assert(a.rows == a.columns);
  const std::int64_t n = a.rows;
  Matrix<T> own(std::min(kPanel, n), std::min(kPanel, n));
  for (std::int64_t k = 0; k < n; k += kPanel) {
    if (go_on) CALDERA_RETURN_IF_ERROR(go_on());
    const std::int64_t width = std::min(kPanel, n - k);
    const std::int64_t rest = n - k - width;
    const MatrixView<T> stored = a.Block(k, k, width, width);
    const MatrixView<T> diagonal = own.view().Block(0, 0, width, width);
    CopyLower<T>(stored, diagonal);
    if (const absl::Status status = FactorDiagonalBlock(diagonal, k, n); !status.ok()) {
      meet();
      return status;
    }
    const MatrixView<T> panel = a.Block(k + width, k, rest, width);
    SolveRightByRows(Operand<T>(diagonal, Op::kTranspose), panel, kDefaultBlock, share);
    meet();
    if (share.place == 0) CopyLower<T>(diagonal, stored);
    SyrkLowerByTiles(Operand<T>(panel), a.Block(k + width, k + width, rest, rest), kSubtractFrom,
                     kUpdateTile, share);
    meet();
  }
  return absl::OkStatus();
}

void Alone() {}

template <typename T>
void ZeroUpperOf(MatrixView<T> a) {
  for (std::int64_t i = 0; i < a.rows; ++i) std::fill(a.row(i) + i + 1, a.row(i) + a.columns, T{0});
}

// Columns first .. first + width - 1 of the inverse solve C X = I; above `first` they are zero.
template <typename T>
void InverseColumns(MatrixView<const T> c, std::int64_t first, MatrixView<T> inverse) {
  const std::int64_t width = std::min(kPanel, c.rows - first);
  const std::int64_t rest = c.rows - first;
  const MatrixView<T> x = inverse.Block(first, first, rest, width);
  for (std::int64_t j = 0; j < width; ++j) x(j, j) = T{1};
  TrsmLower(Side::kLeft, c.Block(first, first, rest, rest), x);
}

template <typename T>
void InvertOf(MatrixView<T> a) {
  assert(a.rows == a.columns);
  Matrix<T> inverse(a.rows, a.columns);
  kernels::ParallelFor((a.rows + kPanel - 1) / kPanel,
                       [&](std::int64_t i) { InverseColumns<T>(a, i * kPanel, inverse.view()); });
  for (std::int64_t i = 0; i < a.rows; ++i) std::copy_n(inverse.row(i), i + 1, a.row(i));
}

absl::Status FactorWithRidge(ViewD s, double ridge) {
  double trace = 0;
  for (std::int64_t i = 0; i < s.rows; ++i) trace += s(i, i);
  for (std::int64_t i = 0; i < s.rows; ++i) {
    s(i, i) += ridge * trace / static_cast<double>(s.rows);
  }
  return CholeskyLower(s);
}

}  // namespace

absl::Status CholeskyLower(ViewF a) { return CholeskyOf(a, {}, Alone, {}); }
absl::Status CholeskyLower(ViewD a) { return CholeskyOf(a, {}, Alone, {}); }
absl::Status CholeskyLower(ViewF a, const Share& share, const std::function<void()>& meet,
                           const std::function<absl::Status()>& go_on) {
  return CholeskyOf(a, share, meet, go_on);
}

void ZeroStrictUpper(ViewF a) { ZeroUpperOf(a); }
void ZeroStrictUpper(ViewD a) { ZeroUpperOf(a); }

void UnitLowerFromCholesky(ViewF cholesky, std::span<float> d) {
  assert(cholesky.rows == cholesky.columns);
  assert(cholesky.rows == static_cast<std::int64_t>(d.size()));
  std::vector<float> diagonal(d.size());
  for (std::size_t k = 0; k < d.size(); ++k) {
    diagonal[k] = cholesky(static_cast<std::int64_t>(k), static_cast<std::int64_t>(k));
    d[k] = diagonal[k] * diagonal[k];
  }
  for (std::int64_t j = 0; j < cholesky.rows; ++j) {
    float* row = cholesky.row(j);
    for (std::int64_t k = 0; k <= j; ++k) row[k] /= diagonal[static_cast<std::size_t>(k)];
  }
}

void InvertLower(ViewF a) { InvertOf(a); }
void InvertLower(ViewD a) { InvertOf(a); }

absl::Status SolveSpd(ViewD s, ViewD b, double ridge) {
  CALDERA_RETURN_IF_ERROR(FactorWithRidge(s, ridge));
  SolveLeftByColumns(OperandD(s), b);
  SolveLeftByColumns(Transposed(ConstViewD(s)), b);
  return absl::OkStatus();
}

absl::Status SolveSpdRight(ViewD s, ViewD b, double ridge) {
  CALDERA_RETURN_IF_ERROR(FactorWithRidge(s, ridge));
  SolveRightByRows(Transposed(ConstViewD(s)), b);
  SolveRightByRows(OperandD(s), b);
  return absl::OkStatus();
}

absl::StatusOr<SymmetricEigen> EigenOfSymmetric(ConstViewD a) {
  assert(a.rows == a.columns);
  const std::int64_t n = a.rows;
  SymmetricEigen result{std::vector<double>(static_cast<std::size_t>(n)), MatrixD(n, n)};
  if (n == 0) return result;
  MatrixD work(n, n);
  Copy(OperandD(a), work.view());
  std::vector<double> ascending(static_cast<std::size_t>(n));
  PinBlasToOneThread();
  const lapack_int info =
      LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', Int(n), work.data(), Int(n), ascending.data());
  if (info != 0)
    return base::Internal("symmetric eigenproblem of size {}: dsyevd says {}", n, info);
  std::reverse_copy(ascending.begin(), ascending.end(), result.values.begin());
  // Column-major vectors are the rows of `work`.
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) result.vectors(i, j) = work(n - 1 - j, i);
  }
  return result;
}

absl::StatusOr<ThinSvd> Svd(ConstViewD a) {
  const std::int64_t k = std::min(a.rows, a.columns);
  ThinSvd result{MatrixD(a.rows, k), std::vector<double>(static_cast<std::size_t>(k)),
                 MatrixD(k, a.columns)};
  if (k == 0) return result;
  MatrixD work(a.rows, a.columns);
  Copy(OperandD(a), work.view());
  PinBlasToOneThread();
  const lapack_int info = LAPACKE_dgesdd(
      LAPACK_ROW_MAJOR, 'S', Int(a.rows), Int(a.columns), work.data(), Int(a.columns),
      result.s.data(), result.u.data(), Int(k), result.v_transposed.data(), Int(a.columns));
  if (info != 0) {
    return base::Internal("singular values of {} x {}: dgesdd says {}", a.rows, a.columns, info);
  }
  return result;
}

namespace {

bool IsFinite(ConstViewF v) {
  for (std::int64_t i = 0; i < v.rows; ++i) {
    if (!kernels::IsFinite(v.row(i), static_cast<std::size_t>(v.columns))) return false;
  }
  return true;
}

constexpr std::int64_t kGramTile = 64;

// One Cholesky-QR: V <- V C^-T with V^T V = C C^T. False when the columns are too nearly dependent
// for the Gram matrix, whose condition is the square of V's.
bool CholeskyQr(ViewD v) {
  constexpr double kSmallestPivot = 1e-6;
  MatrixD gram(v.columns, v.columns);
  SyrkLowerByTiles(Transposed(ConstViewD(v)), gram.view(), {}, kGramTile);
  if (!CholeskyLower(gram.view()).ok()) return false;
  double smallest = gram(0, 0);
  double largest = gram(0, 0);
  for (std::int64_t i = 0; i < v.columns; ++i) {
    smallest = std::min(smallest, gram(i, i));
    largest = std::max(largest, gram(i, i));
  }
  if (smallest < kSmallestPivot * largest) return false;
  SolveRightByRows(Transposed(ConstViewD(gram.view())), v);
  return true;
}

absl::Status HouseholderQr(ViewD v) {
  std::vector<double> tau(static_cast<std::size_t>(v.columns));
  PinBlasToOneThread();
  lapack_int info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, Int(v.rows), Int(v.columns), v.data,
                                   Int(v.stride), tau.data());
  if (info == 0) {
    info = LAPACKE_dorgqr(LAPACK_ROW_MAJOR, Int(v.rows), Int(v.columns), Int(v.columns), v.data,
                          Int(v.stride), tau.data());
  }
  if (info != 0) return base::Internal("QR of {} x {}: LAPACK says {}", v.rows, v.columns, info);
  return absl::OkStatus();
}

}  // namespace

absl::Status OrthonormalizeColumns(ViewF v) {
  assert(v.rows >= v.columns);
  if (v.empty()) return absl::OkStatus();
  if (!IsFinite(v)) return base::FailedPrecondition("columns to orthonormalise are not finite");
  MatrixD work(v.rows, v.columns);
  Copy(ConstViewF(v), work.view());
  if (!CholeskyQr(work.view()) || !CholeskyQr(work.view())) {
    Copy(ConstViewF(v), work.view());
    CALDERA_RETURN_IF_ERROR(HouseholderQr(work.view()));
  }
  Copy(ConstViewD(work.view()), v);
  return absl::OkStatus();
}

}  // namespace caldera::linalg
