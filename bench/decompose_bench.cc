// One whole Decompose of the synthetic layer of tests/numerics/decompose/cases.h, with the error it
// reaches. Arguments: m, n, bits of Q, rank, bits of L and R, threads. FLOPS counts what Decompose
// executed per second of CPU time; `cpu_seconds` is the CPU time of the process for one
// decomposition.
#include <benchmark/benchmark.h>

#include <ctime>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/decompose.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kSignalRank = 32;

double ProcessSeconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

void BM_Decompose(benchmark::State& state) {
  const std::int64_t m = state.range(0);
  const linalg::MatrixF weight = HeavyTailedWeight(m, state.range(1), kSignalRank);
  const auto prepared = PrepareHessian(OutlierHessian(state.range(1)), 1);
  if (!prepared.ok()) return state.SkipWithError(base::MessageOf(prepared.status()).c_str());
  const DecomposeOptions options =
      OptionsOf(static_cast<int>(state.range(2)), state.range(3), static_cast<int>(state.range(4)));
  kernels::SetThreads(static_cast<int>(state.range(5)));
  dist::SerialCommunicator serial;
  double seconds = 0;
  for (auto _ : state) {
    const double start = ProcessSeconds();
    const auto result =
        Decompose(weight.view(), dist::RowPartition(m, RowBlock(m), 1), *prepared, options, serial);
    if (!result.ok()) return state.SkipWithError(base::MessageOf(result.status()).c_str());
    seconds += ProcessSeconds() - start;
    state.counters["relative_error"] = result->relative_error;
    state.counters["FLOPS"] = result->local_flops;
  }
  const double each = seconds / static_cast<double>(state.iterations());
  state.counters["cpu_seconds"] = each;
  state.counters["FLOPS"] = state.counters["FLOPS"] / each;
}
BENCHMARK(BM_Decompose)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Args({1024, 1024, 2, 0, 4, 1})
    ->Args({1024, 1024, 2, 64, 4, 1})
    ->Args({1024, 1024, 2, 256, 4, 1})
    ->Args({576, 1536, 2, 64, 4, 1})
    ->Args({1024, 1024, 2, 64, 16, 1})
    ->Args({1024, 1024, 2, 256, 16, 1})
    ->Args({1024, 1024, 2, 64, 8, 1})
    ->Args({1024, 1024, 4, 0, 4, 1})
    ->Args({1024, 1024, 2, 64, 4, 2});

}  // namespace
}  // namespace caldera::decompose

BENCHMARK_MAIN();
