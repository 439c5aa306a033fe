// What the machine can do: products of matrices, and memory. Argument: threads.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/yardstick.h"
#include "numerics/kernels/parallel.h"

namespace caldera::bench {
namespace {

// The yardstick of all `sgemm_ratio`s.
void Sgemm(benchmark::State& state) {
  kernels::SetThreads(static_cast<int>(state.range(0)));
  Yardstick yardstick;
  Rate sum;
  for (auto _ : state) {
    const Rate rate = yardstick.Measure();
    sum.wall += rate.wall;
    sum.cpu += rate.cpu;
  }
  state.counters["FLOPS"] = sum.wall / static_cast<double>(state.iterations());
  state.counters["cpu_FLOPS"] = sum.cpu / static_cast<double>(state.iterations());
  kernels::SetThreads(1);
}
BENCHMARK(Sgemm)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

constexpr std::size_t kRun = 4096;

void AddRun(const float* b, const float* c, float* __restrict a) {
  constexpr float kScalar = 3;
  for (std::size_t i = 0; i < kRun; ++i) a[i] = b[i] + kScalar * c[i];
}

// a = b + s c over three arrays that are larger together than any cache: 12 bytes a value, reading
// a before it is written not counted.
void Triad(benchmark::State& state) {
  constexpr std::size_t kCount = std::size_t{1} << 27;
  kernels::SetThreads(static_cast<int>(state.range(0)));
  std::vector<float> a(kCount);
  const std::vector<float> b(kCount, 1.0F);
  const std::vector<float> c(kCount, 2.0F);
  constexpr std::int64_t kParts = 64;
  constexpr std::size_t kPart = kCount / kParts;
  for (auto _ : state) {
    kernels::ParallelFor(kParts, [&](std::int64_t part) {
      const std::size_t first = static_cast<std::size_t>(part) * kPart;
      for (std::size_t i = first; i < first + kPart; i += kRun) {
        AddRun(b.data() + i, c.data() + i, a.data() + i);
      }
    });
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(3 * sizeof(float) * kCount));
  kernels::SetThreads(1);
}
BENCHMARK(Triad)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace caldera::bench
