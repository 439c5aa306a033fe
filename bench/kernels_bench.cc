// The vector loops against their plain twins: one thread, values that fit the second-level cache.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numerics/kernels/convert.h"
#include "numerics/kernels/hadamard.h"
#include "numerics/kernels/reference.h"
#include "numerics/kernels/rounded_add.h"
#include "numerics/kernels/transformer.h"

namespace caldera::kernels {
namespace {

constexpr std::size_t kCount = 16384;
constexpr std::size_t kRows = 128;

void CountBytes(benchmark::State& state, std::size_t per_iteration) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(per_iteration));
}

std::vector<float> Ramp() {
  std::vector<float> values(kCount);
  for (std::size_t i = 0; i < kCount; ++i) values[i] = static_cast<float>(i % 97) * 0.05F - 2.4F;
  return values;
}

using Transform = void (*)(RowWindow, std::size_t, const float*, Direction);

// kRows x (kCount / kRows) values, blocks of 64 or 128.
void Hadamard(benchmark::State& state, Transform transform) {
  std::vector<float> values = Ramp();
  const std::vector<float> signs(kCount, -1.0F);
  const RowWindow window{values.data(), kRows, kCount / kRows, kCount / kRows};
  const auto block = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    transform(window, block, signs.data(), Direction::kForward);
    benchmark::ClobberMemory();
  }
  CountBytes(state, 2 * kCount * sizeof(float));
}
BENCHMARK_CAPTURE(Hadamard, along_rows, HadamardAlongRows)->Arg(64)->Arg(128);
BENCHMARK_CAPTURE(Hadamard, along_rows_reference, reference::HadamardAlongRows)->Arg(128);
BENCHMARK_CAPTURE(Hadamard, across_rows, HadamardAcrossRows)->Arg(64)->Arg(128);
BENCHMARK_CAPTURE(Hadamard, across_rows_reference, reference::HadamardAcrossRows)->Arg(128);

using Widen = void (*)(const std::uint16_t*, std::size_t, float*);

void Widening(benchmark::State& state, Widen widen) {
  const std::vector<std::uint16_t> halves(kCount, 0x3C01);
  std::vector<float> floats(kCount);
  for (auto _ : state) {
    widen(halves.data(), kCount, floats.data());
    benchmark::ClobberMemory();
  }
  CountBytes(state, kCount * (sizeof(float) + sizeof(std::uint16_t)));
}
BENCHMARK_CAPTURE(Widening, float16, Float16ToFloat);
BENCHMARK_CAPTURE(Widening, float16_reference, reference::Float16ToFloat);
BENCHMARK_CAPTURE(Widening, bfloat16, BFloat16ToFloat);

using Narrow = void (*)(const float*, std::size_t, std::uint16_t*);

void Narrowing(benchmark::State& state, Narrow narrow) {
  const std::vector<float> floats = Ramp();
  std::vector<std::uint16_t> halves(kCount);
  for (auto _ : state) {
    narrow(floats.data(), kCount, halves.data());
    benchmark::ClobberMemory();
  }
  CountBytes(state, kCount * (sizeof(float) + sizeof(std::uint16_t)));
}
BENCHMARK_CAPTURE(Narrowing, float16, FloatToFloat16);
BENCHMARK_CAPTURE(Narrowing, float16_reference, reference::FloatToFloat16);
BENCHMARK_CAPTURE(Narrowing, bfloat16, FloatToBFloat16);

using Gate = void (*)(const float*, const float*, std::size_t, float*);

void Silu(benchmark::State& state, Gate gate) {
  const std::vector<float> values = Ramp();
  std::vector<float> out(kCount);
  for (auto _ : state) {
    gate(values.data(), values.data(), kCount, out.data());
    benchmark::ClobberMemory();
  }
  CountBytes(state, 3 * kCount * sizeof(float));
}
BENCHMARK_CAPTURE(Silu, fast, SiluTimes);
BENCHMARK_CAPTURE(Silu, reference, reference::SiluTimes);

template <typename T>
void RoundedAdd(benchmark::State& state) {
  const std::vector<T> values(kCount, T{.25});
  std::vector<double> sums(kCount);
  for (auto _ : state) {
    AddRounded(values.data(), kCount, 1.5 * 0x1p52, sums.data());
    benchmark::ClobberMemory();
  }
  CountBytes(state, kCount * (sizeof(T) + 2 * sizeof(double)));
}
BENCHMARK_TEMPLATE(RoundedAdd, float);
BENCHMARK_TEMPLATE(RoundedAdd, double);

using InPlace = void (*)(float*, std::size_t);

void SoftmaxRow(benchmark::State& state, InPlace softmax) {
  std::vector<float> values = Ramp();
  for (auto _ : state) {
    softmax(values.data(), kCount);
    benchmark::ClobberMemory();
  }
  CountBytes(state, 2 * kCount * sizeof(float));
}
BENCHMARK_CAPTURE(SoftmaxRow, fast, Softmax);
BENCHMARK_CAPTURE(SoftmaxRow, reference, reference::Softmax);

using Inner = double (*)(const float*, const float*, std::size_t);

double DotInFloat(const float* x, const float* y, std::size_t count) {
  return static_cast<double>(Dot(x, y, count));
}

void DotOf(benchmark::State& state, Inner dot) {
  const std::vector<float> values = Ramp();
  for (auto _ : state) benchmark::DoNotOptimize(dot(values.data(), values.data(), kCount));
  CountBytes(state, kCount * sizeof(float));
}
BENCHMARK_CAPTURE(DotOf, float32, DotInFloat);
BENCHMARK_CAPTURE(DotOf, float64, DotDouble);
BENCHMARK_CAPTURE(DotOf, reference, reference::DotDouble);

void RmsNormRow(benchmark::State& state) {
  const std::vector<float> values = Ramp();
  std::vector<float> out(kCount);
  for (auto _ : state) {
    RmsNorm(values.data(), values.data(), kCount, 1e-5F, out.data());
    benchmark::ClobberMemory();
  }
  CountBytes(state, 3 * kCount * sizeof(float));
}
BENCHMARK(RmsNormRow);

}  // namespace
}  // namespace caldera::kernels
