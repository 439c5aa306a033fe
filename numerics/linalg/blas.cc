#include "numerics/linalg/blas.h"

#include <cblas.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <string>

#include "numerics/kernels/panel.h"
#include "numerics/kernels/transformer.h"

// OpenBLAS's choice of kernels; absent from builds for a single processor.
extern "C" {
void gotoblas_dynamic_init() __attribute__((weak));
void gotoblas_dynamic_quit() __attribute__((weak));
}

namespace caldera::linalg {
namespace {

constexpr char kCoreVariable[] = "OPENBLAS_CORETYPE";
// What OpenBLAS falls back to on an x86 processor that it does not know.
constexpr char kFallbackCore[] = "Prescott";

// The fastest kernels of OpenBLAS 0.3.21 that this processor can run, or null.
const char* BestCore() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

// Debian 12's OpenBLAS looks processors up by model number and runs SSE3 kernels, five times
// slower, on those younger than itself. It reads its choice from the environment only, so that is
// how it is told.
void CorrectCore() {
  if (gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr) return;
  const char* best = BestCore();
  if (best == nullptr || BlasCore() != kFallbackCore) return;
  if (setenv(kCoreVariable, best, /*replace=*/0) != 0) return;
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
}

int Int(std::int64_t value) { return static_cast<int>(value); }

// CBLAS wants a leading dimension of at least 1 even where a matrix has no column.
template <typename T>
int Leading(MatrixView<T> view) {
  return Int(std::max<std::int64_t>(view.stride, 1));
}

CBLAS_TRANSPOSE Transpose(Op op) { return op == Op::kNone ? CblasNoTrans : CblasTrans; }

void RawGemm(const OperandF& a, const OperandF& b, ViewF c, Scale scale) {
  cblas_sgemm(CblasRowMajor, Transpose(a.op), Transpose(b.op), Int(c.rows), Int(c.columns),
              Int(a.columns()), static_cast<float>(scale.alpha), a.view.data, Leading(a.view),
              b.view.data, Leading(b.view), static_cast<float>(scale.beta), c.data, Leading(c));
}

void RawGemm(const OperandD& a, const OperandD& b, ViewD c, Scale scale) {
  cblas_dgemm(CblasRowMajor, Transpose(a.op), Transpose(b.op), Int(c.rows), Int(c.columns),
              Int(a.columns()), scale.alpha, a.view.data, Leading(a.view), b.view.data,
              Leading(b.view), scale.beta, c.data, Leading(c));
}

void RawSyrk(const OperandF& a, ViewF c, Scale scale) {
  cblas_ssyrk(CblasRowMajor, CblasLower, Transpose(a.op), Int(c.rows), Int(a.columns()),
              static_cast<float>(scale.alpha), a.view.data, Leading(a.view),
              static_cast<float>(scale.beta), c.data, Leading(c));
}

void RawSyrk(const OperandD& a, ViewD c, Scale scale) {
  cblas_dsyrk(CblasRowMajor, CblasLower, Transpose(a.op), Int(c.rows), Int(a.columns()),
              scale.alpha, a.view.data, Leading(a.view), scale.beta, c.data, Leading(c));
}

void RawGemv(const OperandF& a, const float* x, float* y, Scale scale) {
  cblas_sgemv(CblasRowMajor, Transpose(a.op), Int(a.view.rows), Int(a.view.columns),
              static_cast<float>(scale.alpha), a.view.data, Leading(a.view), x, 1,
              static_cast<float>(scale.beta), y, 1);
}

void RawGemv(const OperandD& a, const double* x, double* y, Scale scale) {
  cblas_dgemv(CblasRowMajor, Transpose(a.op), Int(a.view.rows), Int(a.view.columns), scale.alpha,
              a.view.data, Leading(a.view), x, 1, scale.beta, y, 1);
}

void RawTrsm(CBLAS_SIDE side, const OperandF& t, ViewF b, CBLAS_DIAG diagonal) {
  cblas_strsm(CblasRowMajor, side, CblasLower, Transpose(t.op), diagonal, Int(b.rows),
              Int(b.columns), 1.0F, t.view.data, Leading(t.view), b.data, Leading(b));
}

void RawTrsm(CBLAS_SIDE side, const OperandD& t, ViewD b, CBLAS_DIAG diagonal) {
  cblas_dtrsm(CblasRowMajor, side, CblasLower, Transpose(t.op), diagonal, Int(b.rows),
              Int(b.columns), 1.0, t.view.data, Leading(t.view), b.data, Leading(b));
}

template <typename T>
void GemmOf(const Operand<T>& a, const Operand<T>& b, MatrixView<T> c, Scale scale) {
  assert(a.rows() == c.rows && b.columns() == c.columns && a.columns() == b.rows());
  if (c.empty()) return;
  PinBlasToOneThread();
  RawGemm(a, b, c, scale);
}

// BLAS may compute 0 * NaN for beta == 0, so the old triangle is cleared here.
template <typename T>
void SyrkOf(const Operand<T>& a, MatrixView<T> c, Scale scale) {
  assert(c.rows == c.columns && a.rows() == c.rows);
  if (c.empty()) return;
  if (scale.beta == 0) {
    for (std::int64_t i = 0; i < c.rows; ++i) std::fill_n(c.row(i), i + 1, T{0});
    scale.beta = 1;
  }
  PinBlasToOneThread();
  RawSyrk(a, c, scale);
}

template <typename T>
void GemvOf(const Operand<T>& a, std::span<const T> x, std::span<T> y, Scale scale) {
  assert(a.rows() == static_cast<std::int64_t>(y.size()));
  assert(a.columns() == static_cast<std::int64_t>(x.size()));
  if (y.empty()) return;
  if (scale.beta == 0) {
    std::fill(y.begin(), y.end(), T{0});
    scale.beta = 1;
  }
  PinBlasToOneThread();
  RawGemv(a, x.data(), y.data(), scale);
}

template <typename T>
void TrsmOf(Side side, const Operand<T>& t, MatrixView<T> b, Diagonal diagonal) {
  assert(t.view.rows == t.view.columns);
  assert(t.view.rows == (side == Side::kLeft ? b.rows : b.columns));
  if (b.empty()) return;
  PinBlasToOneThread();
  RawTrsm(side == Side::kLeft ? CblasLeft : CblasRight, t, b,
          diagonal == Diagonal::kUnit ? CblasUnit : CblasNonUnit);
}

double DotRow(const float* x, const float* y, std::int64_t count) {
  return kernels::DotDouble(x, y, static_cast<std::size_t>(count));
}

double DotRow(const double* x, const double* y, std::int64_t count) {
  return cblas_ddot(Int(count), x, 1, y, 1);
}

template <typename T>
double DotOf(MatrixView<const T> a, MatrixView<const T> b) {
  assert(a.rows == b.rows && a.columns == b.columns);
  PinBlasToOneThread();
  double sum = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) sum += DotRow(a.row(i), b.row(i), a.columns);
  return sum;
}

// Both triangles are walked in squares that stay in the nearest cache.
constexpr std::int64_t kCopyTile = 32;

template <typename T>
void TransposeInto(MatrixView<const T> from, MatrixView<T> to) {
  for (std::int64_t i0 = 0; i0 < to.rows; i0 += kCopyTile) {
    for (std::int64_t j0 = 0; j0 < to.columns; j0 += kCopyTile) {
      const std::int64_t i1 = std::min(i0 + kCopyTile, to.rows);
      const std::int64_t j1 = std::min(j0 + kCopyTile, to.columns);
      for (std::int64_t i = i0; i < i1; ++i) {
        for (std::int64_t j = j0; j < j1; ++j) to(i, j) = from(j, i);
      }
    }
  }
}

void TransposeInto(ConstViewF from, ViewF to) {
  kernels::Transpose(
      {from.data, static_cast<std::size_t>(from.rows), static_cast<std::size_t>(from.stride)},
      static_cast<std::size_t>(from.columns), to.data, static_cast<std::size_t>(to.stride));
}

template <typename From, typename To>
void ConvertInto(MatrixView<const From> from, MatrixView<To> to) {
  assert(from.rows == to.rows && from.columns == to.columns);
  for (std::int64_t i = 0; i < to.rows; ++i) {
    std::transform(from.row(i), from.row(i) + from.columns, to.row(i),
                   [](From value) { return static_cast<To>(value); });
  }
}

template <typename T>
void CopyOf(const Operand<T>& from, MatrixView<T> to) {
  assert(from.rows() == to.rows && from.columns() == to.columns);
  if (from.op == Op::kTranspose) {
    TransposeInto(from.view, to);
  } else {
    ConvertInto(from.view, to);
  }
}

template <typename T>
void MirrorOf(MatrixView<T> a) {
  assert(a.rows == a.columns);
  for (std::int64_t i0 = 0; i0 < a.rows; i0 += kCopyTile) {
    for (std::int64_t j0 = 0; j0 <= i0; j0 += kCopyTile) {
      for (std::int64_t i = i0; i < std::min(i0 + kCopyTile, a.rows); ++i) {
        for (std::int64_t j = j0; j < std::min(j0 + kCopyTile, i); ++j) a(j, i) = a(i, j);
      }
    }
  }
}

}  // namespace

// OpenBLAS keeps its thread count per process and lets OpenMP's per-thread setting override it, so
// each thread says it once; the call also rearranges shared buffers, hence the lock.
void PinBlasToOneThread() {
  thread_local bool pinned = false;
  if (pinned) return;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  static std::once_flag corrected;
  std::call_once(corrected, CorrectCore);
  openblas_set_num_threads(1);
  pinned = true;
}

std::string BlasCore() { return openblas_get_corename(); }

void Gemm(OperandF a, OperandF b, ViewF c, Scale scale) { GemmOf(a, b, c, scale); }
void Gemm(OperandD a, OperandD b, ViewD c, Scale scale) { GemmOf(a, b, c, scale); }

void SyrkLower(OperandF a, ViewF c, Scale scale) { SyrkOf(a, c, scale); }
void SyrkLower(OperandD a, ViewD c, Scale scale) { SyrkOf(a, c, scale); }

void Gemv(OperandF a, std::span<const float> x, std::span<float> y, Scale scale) {
  GemvOf(a, x, y, scale);
}
void Gemv(OperandD a, std::span<const double> x, std::span<double> y, Scale scale) {
  GemvOf(a, x, y, scale);
}

void TrsmLower(Side side, OperandF triangle, ViewF b, Diagonal diagonal) {
  TrsmOf(side, triangle, b, diagonal);
}
void TrsmLower(Side side, OperandD triangle, ViewD b, Diagonal diagonal) {
  TrsmOf(side, triangle, b, diagonal);
}

double Dot(ConstViewF a, ConstViewF b) { return DotOf(a, b); }
double Dot(ConstViewD a, ConstViewD b) { return DotOf(a, b); }

void MirrorLower(ViewF a) { MirrorOf(a); }
void MirrorLower(ViewD a) { MirrorOf(a); }

void Copy(OperandF from, ViewF to) { CopyOf(from, to); }
void Copy(OperandD from, ViewD to) { CopyOf(from, to); }
void Copy(ConstViewF from, ViewD to) { ConvertInto(from, to); }
void Copy(ConstViewD from, ViewF to) { ConvertInto(from, to); }

}  // namespace caldera::linalg
