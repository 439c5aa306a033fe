// One whole Decompose of the synthetic layer of tests/numerics/decompose/cases.h, with the error it
// reaches. Arguments: m, n, bits of Q, rank, bits of L and R, threads. FLOPS counts what Decompose
// executed; `floor_ratio` is its wall time over the time that sgemm would take for as many flops,
// `cpu_floor_ratio` the same of CPU times, `seconds_...` the wall time of each step.
#include "bench/against_sgemm.h"
#include "common/base/status.h"
#include "numerics/decompose/decompose.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kSignalRank = 32;

void BM_Decompose(benchmark::State& state) {
  const std::int64_t m = state.range(0);
  const linalg::MatrixF weight = HeavyTailedWeight(m, state.range(1), kSignalRank);
  const auto prepared = PrepareHessian(OutlierHessian(state.range(1)), 1);
  if (!prepared.ok()) return state.SkipWithError(base::MessageOf(prepared.status()).c_str());
  const DecomposeOptions options =
      OptionsOf(static_cast<int>(state.range(2)), state.range(3), static_cast<int>(state.range(4)));
  dist::SerialCommunicator serial;
  StepSeconds steps = {};
  bench::RunAgainstSgemm(state, static_cast<int>(state.range(5)), [&] {
    const auto result =
        Decompose(weight.view(), dist::RowPartition(m, RowBlock(m), 1), *prepared, options, serial);
    if (!result.ok()) {
      state.SkipWithError(base::MessageOf(result.status()).c_str());
      return 0.0;
    }
    state.counters["relative_error"] = result->relative_error;
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i] += result->step_seconds[i];
    return result->local_flops;
  });
  const double rounds = static_cast<double>(state.iterations());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    state.counters[std::string("seconds_") + kStepNames[i]] = steps[i] / rounds;
  }
  state.counters["floor_ratio"] = 1 / state.counters["sgemm_ratio"];
  state.counters["cpu_floor_ratio"] = 1 / state.counters["cpu_ratio"];
}
BENCHMARK(BM_Decompose)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->Args({1024, 1024, 2, 0, 4, 1})
    ->Args({1024, 1024, 2, 64, 4, 1})
    ->Args({1024, 1024, 2, 256, 4, 1})
    ->Args({576, 1536, 2, 64, 4, 1})
    ->Args({1024, 1024, 2, 64, 16, 1})
    ->Args({1024, 1024, 2, 256, 16, 1})
    ->Args({1024, 1024, 2, 64, 8, 1})
    ->Args({1024, 1024, 4, 0, 4, 1})
    ->Args({1024, 1024, 2, 64, 4, 2})
    ->Args({4096, 4096, 2, 256, 4, 1})
    ->Args({4096, 4096, 2, 256, 4, 2});

}  // namespace
}  // namespace caldera::decompose
