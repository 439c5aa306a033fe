// Speed of the E8P codes: items are 8-vectors (encode) or weights (decode) per second on one core.
// The argument is the code: 0, 1, 2 are 2, 3, 4 bits. The exact 2-bit encoder must reach 40 million
// 8-vectors per second.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "numerics/kernels/e8p.h"
#include "numerics/kernels/e8p_reference.h"

namespace caldera::kernels {
namespace {

// As LDLQ calls the codes: a column of 256 rows is 32 vectors, a panel has 128 columns.
constexpr std::size_t kVectors = 32;
constexpr std::size_t kColumns = 128;
constexpr std::size_t kCount = kVectors * kColumns;

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
    for (std::size_t j = 0; j < kColumns; ++j) {
      E8pEncode(residual, {x.data() + j * 8 * kVectors, kVectors, kVectors},
                codes.data() + j * kVectors, decoded.data() + j * 8 * kVectors);
    }
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
    for (std::size_t j = 0; j < kColumns; ++j) {
      E8pDecode(residual, codes.data() + j * kVectors, kVectors, out.data() + j * 8 * kVectors,
                kVectors);
    }
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
    for (std::size_t i = 0; i < 8; ++i) vector[i] = x[8 * k + i];
    benchmark::DoNotOptimize(reference::NearestE8p(vector));
    k = (k + 1) % kCount;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_EncodeReference);

}  // namespace
}  // namespace caldera::kernels
