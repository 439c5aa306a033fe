// Speed of the trellis codes: items are weights per second on one core. Arguments: bits of the
// state, bits per weight.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "numerics/lattice/trellis_codebook.h"

namespace caldera::lattice {
namespace {

constexpr std::size_t kVectors = 64;

void BM_TrellisEncode(benchmark::State& state) {
  const TrellisCodebook codebook(static_cast<int>(state.range(0)),
                                 base::Bits(static_cast<int>(state.range(1))));
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(8 * kVectors);
  for (float& value : x) value = normal(generator);
  std::vector<std::uint32_t> codes(kVectors);
  for (auto _ : state) {
    codebook.Encode(x.data(), kVectors, kVectors, codes.data(), nullptr);
    benchmark::DoNotOptimize(codes.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(8 * kVectors));
}
BENCHMARK(BM_TrellisEncode)->ArgsProduct({{10, 12}, {2, 3, 4}});

void BM_TrellisDecode(benchmark::State& state) {
  constexpr std::size_t kColumns = 512;
  const TrellisCodebook codebook(static_cast<int>(state.range(0)),
                                 base::Bits(static_cast<int>(state.range(1))));
  std::mt19937 generator(1);
  std::vector<std::uint32_t> codes(8 * kColumns);
  for (std::uint32_t& code : codes) code = static_cast<std::uint32_t>(generator()) & 0xFFFF;
  std::vector<float> out(64 * kColumns);
  for (auto _ : state) {
    codebook.Decode({codes.data(), 8, kColumns, kColumns}, out.data(), kColumns);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK(BM_TrellisDecode)->ArgsProduct({{10, 12}, {2, 4}});

}  // namespace
}  // namespace caldera::lattice
