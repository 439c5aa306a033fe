// Speed of the grids of L and R: items are values per second on one core. Argument: bits.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "common/base/types.h"
#include "numerics/lattice/factor_code.h"
#include "numerics/linalg/random.h"

namespace caldera::lattice {
namespace {

linalg::MatrixF Normal(std::int64_t rows, std::int64_t columns) {
  linalg::MatrixF matrix(rows, columns);
  linalg::Random(1).FillNormal(matrix.view());
  return matrix;
}

using Encode = absl::StatusOr<FactorCodes> (*)(linalg::ConstViewF, base::Bits, linalg::ViewF);

// Statistics, scales, codes and decoded values.
void EncodeFactor(benchmark::State& state, Encode encode, const linalg::MatrixF& factor) {
  linalg::MatrixF decoded(factor.rows(), factor.columns());
  const base::Bits bits(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(encode(factor.view(), bits, decoded.view()).ok());
  }
  state.SetItemsProcessed(state.iterations() * factor.rows() * factor.columns());
}

void LeftFactor(benchmark::State& state) { EncodeFactor(state, EncodeL, Normal(4096, 64)); }
void RightFactor(benchmark::State& state) { EncodeFactor(state, EncodeR, Normal(64, 4096)); }
BENCHMARK(LeftFactor)->Arg(4)->Arg(8)->Arg(16);
BENCHMARK(RightFactor)->Arg(4)->Arg(8)->Arg(16);

}  // namespace
}  // namespace caldera::lattice
