// Timing loop of benchmarks whose work is counted in flops.
#ifndef CALDERA_BENCH_AGAINST_SGEMM_H_
#define CALDERA_BENCH_AGAINST_SGEMM_H_

#include <benchmark/benchmark.h>

#include "bench/yardstick.h"
#include "numerics/kernels/parallel.h"

namespace caldera::bench {

// Runs `body` on `threads` threads; it returns the flops it did. `prepare` runs before each round
// and is not timed. Register with UseManualTime(): the time of a round is its wall time. Counters:
//   FLOPS        flops per second of wall time
//   sgemm_ratio  FLOPS over those of sgemm on as many threads, mean of just before and just after
//   cpu_ratio    the same with seconds of CPU time in place of wall time
//   cpu_seconds  of the whole process, for one round
template <typename Prepare, typename Body>
void RunAgainstSgemm(benchmark::State& state, int threads, Prepare prepare, Body body) {
  kernels::SetThreads(threads);
  Yardstick yardstick;
  const Rate before = yardstick.Measure();
  double flops = 0;
  double wall = 0;
  double cpu = 0;
  for (auto _ : state) {
    prepare();
    const double cpu_start = CpuSeconds();
    const double start = WallSeconds();
    flops += body();
    const double seconds = WallSeconds() - start;
    cpu += CpuSeconds() - cpu_start;
    wall += seconds;
    state.SetIterationTime(seconds);
  }
  const Rate after = yardstick.Measure();
  kernels::SetThreads(1);
  state.counters["FLOPS"] = flops / wall;
  state.counters["sgemm_ratio"] = flops / wall / ((before.wall + after.wall) / 2);
  state.counters["cpu_ratio"] = flops / cpu / ((before.cpu + after.cpu) / 2);
  state.counters["cpu_seconds"] = cpu / static_cast<double>(state.iterations());
}

template <typename Body>
void RunAgainstSgemm(benchmark::State& state, int threads, Body body) {
  RunAgainstSgemm(
      state, threads, [] {}, body);
}

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_AGAINST_SGEMM_H_
