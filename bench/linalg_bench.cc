// Matrix products, factors and reproducible sums against plain sgemm.
#include <cstdint>

#include "bench/against_sgemm.h"
#include "numerics/dist/communicator.h"
#include "numerics/dist/row_partition.h"
#include "numerics/dist/tall_matrix.h"
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

int ThreadsIn(const benchmark::State& state, std::size_t argument) {
  return static_cast<int>(state.range(argument));
}

double Cube(std::int64_t n) {
  const auto size = static_cast<double>(n);
  return size * size * size;
}

// Other sizes than the yardstick's, on one thread.
void Sgemm(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const MatrixF a = Normal(n, n, 1);
  const MatrixF b = Normal(n, n, 2);
  MatrixF c(n, n);
  bench::RunAgainstSgemm(state, 1, [&] {
    Gemm(a, b, c.view());
    return 2 * Cube(n);
  });
}
BENCHMARK(Sgemm)->Arg(256)->Arg(1024)->Arg(4096)->UseManualTime();

// Arguments: size, rows per block, threads.
void ByRows(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const MatrixF a = Normal(n, n, 1);
  const MatrixF b = Normal(n, n, 2);
  MatrixF c(n, n);
  bench::RunAgainstSgemm(state, ThreadsIn(state, 2), [&] {
    GemmByRows(a, b, c.view(), {}, state.range(1));
    return 2 * Cube(n);
  });
}
BENCHMARK(ByRows)->ArgsProduct({{1024, 2048}, {64, 128, 256}, {1, 2}})->UseManualTime();

// Arguments: size, threads.
void Cholesky(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const MatrixF x = Normal(n, n, 1);
  MatrixF h(n, n);
  SyrkLowerByTiles(x, h.view(), {1.0 / static_cast<double>(n), 0});
  for (std::int64_t i = 0; i < n; ++i) h(i, i) += 1;
  MatrixF factor;
  bench::RunAgainstSgemm(
      state, ThreadsIn(state, 1), [&] { factor = h; },
      [&] {
        benchmark::DoNotOptimize(CholeskyLower(factor.view()).ok());
        return Cube(n) / 3;
      });
}
BENCHMARK(Cholesky)->ArgsProduct({{1024, 2048, 4096}, {1, 2}})->UseManualTime();

// L^T A with exact sums. Arguments: rank, rows per block, threads.
void TransposeTimes(benchmark::State& state) {
  constexpr std::int64_t kRows = 2048;
  const std::int64_t rank = state.range(0);
  const MatrixF l = Normal(kRows, rank, 1);
  const MatrixF a = Normal(kRows, kRows, 2);
  dist::SerialCommunicator serial;
  const dist::RowPartition partition(kRows, state.range(1), 1);
  bench::RunAgainstSgemm(state, ThreadsIn(state, 2), [&] {
    benchmark::DoNotOptimize(dist::TransposeTimes(l.view(), a.view(), partition, serial).data());
    return 2.0 * static_cast<double>(kRows * kRows * rank);
  });
}
BENCHMARK(TransposeTimes)->ArgsProduct({{64, 256}, {64, 128, 256}, {1, 2}})->UseManualTime();

// In float64, which counts as sgemm's flops do. Arguments: columns, threads.
void Orthonormalize(benchmark::State& state) {
  const std::int64_t r = state.range(0);
  const MatrixF v = Normal(4096, r, 1);
  MatrixF work;
  bench::RunAgainstSgemm(
      state, ThreadsIn(state, 1), [&] { work = v; },
      [&] {
        benchmark::DoNotOptimize(OrthonormalizeColumns(work.view()).ok());
        return 4.0 * 4096 * static_cast<double>(r * r);
      });
}
BENCHMARK(Orthonormalize)->ArgsProduct({{64, 256}, {1, 2}})->UseManualTime();

}  // namespace
}  // namespace caldera::linalg
