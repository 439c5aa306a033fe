// Speed of the E8P codes: items are 8-vectors (encode) or weights (decode) per second on one core.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "numerics/kernels/e8p.h"
#include "numerics/kernels/e8p_reference.h"

namespace caldera::kernels {
namespace {

constexpr std::size_t kCount = 4096;

std::vector<float> GaussianVectors() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> x(8 * kCount);
  for (float& value : x) value = normal(generator);
  return x;
}

void BM_Encode(benchmark::State& state) {
  const auto residual = static_cast<E8pResidual>(state.range(0));
  const std::vector<float> x = GaussianVectors();
  std::vector<float> decoded(x.size());
  std::vector<std::uint32_t> codes(kCount);
  for (auto _ : state) {
    E8pEncode(residual, {x.data(), kCount, kCount}, codes.data(), decoded.data());
    benchmark::DoNotOptimize(decoded.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kCount));
}
BENCHMARK(BM_Encode)->Arg(0)->Arg(1)->Arg(2);

void BM_Decode(benchmark::State& state) {
  const auto residual = static_cast<E8pResidual>(state.range(0));
  std::vector<std::uint32_t> codes(kCount);
  std::mt19937 generator(1);
  for (std::uint32_t& code : codes) code = static_cast<std::uint32_t>(generator());
  std::vector<float> out(8 * kCount);
  for (auto _ : state) {
    E8pDecode(residual, codes.data(), kCount, out.data(), kCount);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(8 * kCount));
}
BENCHMARK(BM_Decode)->Arg(0)->Arg(1)->Arg(2);

void BM_EncodeReference(benchmark::State& state) {
  const std::vector<float> x = GaussianVectors();
  std::size_t k = 0;
  for (auto _ : state) {
    reference::Word8 vector;
    for (std::size_t i = 0; i < 8; ++i) vector[i] = x[i * kCount + k];
    benchmark::DoNotOptimize(reference::NearestE8p(vector));
    k = (k + 1) % kCount;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_EncodeReference);

}  // namespace
}  // namespace caldera::kernels
