// BLAS on row-major views, one thread per call.
//
// The only file that knows cblas.h. Every call pins OpenBLAS to one thread, so that the result
// depends on values and shapes only; parallel loops over fixed blocks are in parallel_blas.h.
// Shapes are preconditions, checked by assert. Any size may be 0. Outputs must not overlap inputs.
// Safe from any thread.
#ifndef CALDERA_NUMERICS_LINALG_BLAS_H_
#define CALDERA_NUMERICS_LINALG_BLAS_H_

#include <cstdint>
#include <span>
#include <string>

#include "numerics/linalg/matrix.h"

namespace caldera::linalg {

enum class Op { kNone, kTranspose };
enum class Side { kLeft, kRight };
enum class Diagonal { kStored, kUnit };

using MatrixD = Matrix<double>;
using ViewD = MatrixView<double>;
using ConstViewD = MatrixView<const double>;

// A read-only matrix or its transpose. Views and matrices convert to it as they are:
// Gemm(a.view(), Transposed(b.view()), c.view()).
template <typename T>
struct Operand {
  MatrixView<const T> view;
  Op op = Op::kNone;

  Operand(MatrixView<const T> v, Op o = Op::kNone) : view(v), op(o) {}
  Operand(MatrixView<T> v) : view(v) {}
  Operand(const Matrix<T>& m) : view(m.view()) {}
  // Shape of op(view).
  std::int64_t rows() const { return op == Op::kNone ? view.rows : view.columns; }
  std::int64_t columns() const { return op == Op::kNone ? view.columns : view.rows; }
  // Rows or columns first .. first + count - 1 of op(view).
  Operand Rows(std::int64_t first, std::int64_t count) const {
    return {op == Op::kNone ? view.Rows(first, count) : view.Columns(first, count), op};
  }
  Operand Columns(std::int64_t first, std::int64_t count) const {
    return {op == Op::kNone ? view.Columns(first, count) : view.Rows(first, count), op};
  }
};
using OperandF = Operand<float>;
using OperandD = Operand<double>;

inline OperandF Transposed(ConstViewF view) { return {view, Op::kTranspose}; }
inline OperandD Transposed(ConstViewD view) { return {view, Op::kTranspose}; }

// result <- alpha * product + beta * result; with beta == 0 the old result is not read (NaN is
// fine).
struct Scale {
  double alpha = 1;
  double beta = 0;
};
inline constexpr Scale kAddTo{1, 1};          // result += product
inline constexpr Scale kSubtractFrom{-1, 1};  // result -= product

// C (m x n) <- alpha A (m x k) B (k x n) + beta C. 2 m n k flops.
void Gemm(OperandF a, OperandF b, ViewF c, Scale scale = {});
void Gemm(OperandD a, OperandD b, ViewD c, Scale scale = {});

// Lower triangle of C (n x n) <- alpha A A^T + beta C for A n x k (Transposed(X): X^T X). The
// strict upper triangle is neither read nor written. n^2 k flops.
void SyrkLower(OperandF a, ViewF c, Scale scale = {});
void SyrkLower(OperandD a, ViewD c, Scale scale = {});

// y (m) <- alpha A (m x n) x (n) + beta y. 2 m n flops.
void Gemv(OperandF a, std::span<const float> x, std::span<float> y, Scale scale = {});
void Gemv(OperandD a, std::span<const double> x, std::span<double> y, Scale scale = {});

// Solves T X = B (kLeft) or X T = B (kRight) in place of B, where T = op(view) and view is square
// with a lower triangle (the strict upper one is not read): T is lower for Op::kNone, upper for
// Op::kTranspose.
void TrsmLower(Side side, OperandF triangle, ViewF b, Diagonal diagonal = Diagonal::kStored);
void TrsmLower(Side side, OperandD triangle, ViewD b, Diagonal diagonal = Diagonal::kStored);

// <A, B> = sum over elements of A B, each row accumulated in float64, rows added in order.
double Dot(ConstViewF a, ConstViewF b);
double Dot(ConstViewD a, ConstViewD b);

// Copies the lower triangle over the upper one: n x n becomes symmetric.
void MirrorLower(ViewF a);
void MirrorLower(ViewD a);

// Element-wise copies between precisions and shapes; `to` has the shape of op(from).
void Copy(OperandF from, ViewF to);
void Copy(OperandD from, ViewD to);
void Copy(ConstViewF from, ViewD to);
void Copy(ConstViewD from, ViewF to);

// Name of the kernels that OpenBLAS runs ("SkylakeX", "Haswell", ...), for logs and benchmark
// records; as chosen by PinBlasToOneThread once that has run.
std::string BlasCore();

// For factor.cc and others that reach LAPACK: pins OpenBLAS to one thread for the calling thread.
// The first call of a process also corrects OpenBLAS's choice of kernels on processors younger than
// itself, unless OPENBLAS_CORETYPE is set.
void PinBlasToOneThread();

}  // namespace caldera::linalg

#endif  // CALDERA_NUMERICS_LINALG_BLAS_H_
