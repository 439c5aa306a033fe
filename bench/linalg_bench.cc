// Matrix products, factors and reproducible sums against plain sgemm on one thread.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "numerics/dist/communicator.h"
#include "numerics/dist/row_partition.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/factor.h"
#include "numerics/linalg/parallel_blas.h"
#include "numerics/linalg/random.h"

namespace caldera::linalg {
namespace {

MatrixF Normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  MatrixF matrix(rows, columns);
  Random(seed).FillNormal(matrix.view());
  return matrix;
}

void CountFlops(benchmark::State& state, double per_iteration) {
  state.counters["FLOPS"] =
      benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate);
}

double Cube(std::int64_t n) {
  const auto size = static_cast<double>(n);
  return size * size * size;
}

// The yardstick.
void Sgemm(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const MatrixF a = Normal(n, n, 1);
  const MatrixF b = Normal(n, n, 2);
  MatrixF c(n, n);
  for (auto _ : state) Gemm(a, b, c.view());
  CountFlops(state, 2 * Cube(n));
}
BENCHMARK(Sgemm)->Arg(1024)->Arg(2048)->UseRealTime();

// Arguments: size, rows per block, threads.
void ByRows(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  kernels::SetThreads(static_cast<int>(state.range(2)));
  const MatrixF a = Normal(n, n, 1);
  const MatrixF b = Normal(n, n, 2);
  MatrixF c(n, n);
  for (auto _ : state) GemmByRows(a, b, c.view(), {}, state.range(1));
  CountFlops(state, 2 * Cube(n));
}
BENCHMARK(ByRows)->ArgsProduct({{1024, 2048}, {64, 128, 256}, {1, 2}})->UseRealTime();

// Arguments: size, threads.
void Cholesky(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  kernels::SetThreads(static_cast<int>(state.range(1)));
  const MatrixF x = Normal(n, n, 1);
  MatrixF h(n, n);
  SyrkLowerByTiles(x, h.view(), {1.0 / static_cast<double>(n), 0});
  for (std::int64_t i = 0; i < n; ++i) h(i, i) += 1;
  MatrixF factor(n, n);
  for (auto _ : state) {
    state.PauseTiming();
    factor = h;
    state.ResumeTiming();
    benchmark::DoNotOptimize(CholeskyLower(factor.view()).ok());
  }
  CountFlops(state, Cube(n) / 3);
}
BENCHMARK(Cholesky)->ArgsProduct({{1024, 2048, 4096}, {1, 2}})->UseRealTime();

// L^T A with exact sums. Arguments: rank, rows per block, threads.
void TransposeTimes(benchmark::State& state) {
  constexpr std::int64_t kRows = 2048;
  const std::int64_t rank = state.range(0);
  kernels::SetThreads(static_cast<int>(state.range(2)));
  const MatrixF l = Normal(kRows, rank, 1);
  const MatrixF a = Normal(kRows, kRows, 2);
  dist::SerialCommunicator serial;
  const dist::RowPartition partition(kRows, state.range(1), 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(dist::TransposeTimes(l.view(), a.view(), partition, serial).data());
  }
  CountFlops(state, 2.0 * static_cast<double>(kRows * kRows * rank));
}
BENCHMARK(TransposeTimes)->ArgsProduct({{64, 256}, {64, 128, 256}, {1, 2}})->UseRealTime();

// Arguments: columns, threads.
void Orthonormalize(benchmark::State& state) {
  const std::int64_t r = state.range(0);
  kernels::SetThreads(static_cast<int>(state.range(1)));
  const MatrixF v = Normal(4096, r, 1);
  for (auto _ : state) {
    MatrixF work = v;
    benchmark::DoNotOptimize(OrthonormalizeColumns(work.view()).ok());
  }
  CountFlops(state, 4.0 * 4096 * static_cast<double>(r * r));
}
BENCHMARK(Orthonormalize)->ArgsProduct({{64, 256}, {1, 2}})->UseRealTime();

}  // namespace
}  // namespace caldera::linalg
