// The steps of a decomposition, each alone, for an n x n matrix in 2-bit E8P. Arguments: n,
// threads, and of steps with factors the rank. One round is one execution; how often a recipe runs
// each step: docs/algorithms.md, "Recipes".
#include <cstdint>
#include <vector>

#include "bench/against_sgemm.h"
#include "bench/synthetic.h"
#include "common/base/types.h"
#include "numerics/decompose/decompose.h"
#include "numerics/decompose/downdate.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/decompose/iterate.h"
#include "numerics/decompose/ldlq.h"
#include "numerics/decompose/low_rank.h"
#include "numerics/decompose/sweep.h"
#include "numerics/lattice/codebook.h"

namespace caldera::decompose {
namespace {

using bench::RunAgainstSgemm;

int Threads(const benchmark::State& state) { return static_cast<int>(state.range(1)); }

linalg::MatrixF Normal(std::int64_t rows, std::int64_t columns) {
  linalg::MatrixF matrix(rows, columns);
  linalg::Random(1).FillNormal(matrix.view());
  return matrix;
}

linalg::MatrixF Hessian(std::int64_t n) {
  linalg::MatrixF hessian(n, n);
  bench::FillHessian(hessian.view());
  return hessian;
}

// A square layer and what its steps read.
struct Layer {
  explicit Layer(std::int64_t size)
      : n(size),
        weight(Normal(n, n)),
        prepared(PrepareHessian(Hessian(n), 1).value()),
        partition(n, RowBlock(n), 1) {
    const lattice::Codebook& codebook = family.Of(2);
    scales.assign(static_cast<std::size_t>(n), 1 / codebook.input_rms());
    grid = {&codebook, scales};
  }

  linalg::ConstViewF hessian() const { return prepared.state().rotated.view(); }
  linalg::ConstViewF factor() const { return prepared.state().factor.view(); }
  Rounded Round() const { return Ldlq(weight.view(), factor(), grid, {partition.block_rows()}); }

  std::int64_t n;
  linalg::MatrixF weight;
  PreparedHessian prepared;
  dist::RowPartition partition;
  lattice::CodebookFamily family = lattice::CodebookFamily::Find(model::CodebookKind::kE8P).value();
  std::vector<float> scales;
  RowGrid grid;
};

void SweepOnce(benchmark::State& state, const Layer& layer, const SweptHessian& hessian) {
  Rounded rounded = layer.Round();
  RunAgainstSgemm(state, Threads(state), [&] {
    Sweep(layer.weight.view(), hessian, layer.grid, {layer.partition.block_rows()}, rounded);
    return SweepFlops(layer.n, hessian);
  });
}

void LdlqStep(benchmark::State& state) {
  const Layer layer(state.range(0));
  RunAgainstSgemm(state, Threads(state), [&] {
    benchmark::DoNotOptimize(layer.Round().codes.data());
    return LdlqFlops(layer.n, layer.n);
  });
}

void PlainSweep(benchmark::State& state) {
  const Layer layer(state.range(0));
  SweepOnce(state, layer, {layer.hessian(), {}, 0});
}

void DowndatedSweep(benchmark::State& state) {
  const Layer layer(state.range(0));
  const linalg::MatrixF basis(layer.n, state.range(2));
  SweepOnce(state, layer, {layer.hessian(), basis.view(), .05F});
}

// B and the factor of H - B B^T + delta I.
void DowndateStep(benchmark::State& state) {
  const Layer layer(state.range(0));
  const linalg::MatrixF rows = Normal(state.range(2), layer.n);
  RunAgainstSgemm(state, Threads(state), [&] {
    dist::SerialCommunicator serial;
    Context context{layer.partition, serial};
    if (!Downdate(context, layer.hessian(), rows.view(), Ridge{.absolute = .05F}).ok()) {
      state.SkipWithError("not factored");
    }
    return context.flops;
  });
}

// The rows that start a correction.
void Eigenvectors(benchmark::State& state) {
  const Layer layer(state.range(0));
  RunAgainstSgemm(state, Threads(state), [&] {
    dist::SerialCommunicator serial;
    Context context{layer.partition, serial};
    benchmark::DoNotOptimize(TopEigenvectors(context, layer.hessian(), state.range(2), 2).ok());
    return context.flops;
  });
}

void Fit(benchmark::State& state, const Layer& layer, const Metric& metric) {
  FitOptions options;
  options.rank = state.range(2);
  options.alternations = 2;
  RunAgainstSgemm(state, Threads(state), [&] {
    dist::SerialCommunicator serial;
    Context context{layer.partition, serial};
    benchmark::DoNotOptimize(FitLowRank(context, layer.weight.view(), metric, options).ok());
    return context.flops;
  });
}

// The plain SVD of the signal.
void SignalStep(benchmark::State& state) {
  const Layer layer(state.range(0));
  Fit(state, layer, {});
}

// L R in the metric of H.
void LowRankStep(benchmark::State& state) {
  const Layer layer(state.range(0));
  Fit(state, layer, {layer.hessian(), layer.factor()});
}

// Decoding, rotating back, and tr(D H D^T).
void ReportedError(benchmark::State& state) {
  const Layer layer(state.range(0));
  model::CompressedMatrixHeader header;
  header.rows = header.columns = layer.n;
  header.rank = 0;
  const Rotation output = MakeRotation(layer.n, 1, Side::kOutput);
  const PreparedHessian::State& prepared = layer.prepared.state();
  const std::vector<float> group_scales(
      static_cast<std::size_t>((layer.n + model::kScaleRows - 1) / model::kScaleRows),
      layer.scales.front());
  const Iterate iterate = MakeIterate({group_scales, layer.Round().codes, {}}, {}, header);
  dist::SerialCommunicator serial;
  Context context{layer.partition, serial};
  Objective objective(context, layer.weight.view(), prepared.given.view());
  RunAgainstSgemm(state, Threads(state), [&] {
    context.flops = 0;
    const Objective::Decoding decoding{layer.family, header, prepared.input, output};
    benchmark::DoNotOptimize(objective.RelativeError(iterate, decoding).ok());
    return context.flops;
  });
}

// Layers are made with the threads of the benchmark as well.
void UseThreads(const benchmark::State& state) { kernels::SetThreads(Threads(state)); }

void EachSize(benchmark::internal::Benchmark* step) {
  step->ArgsProduct({{1024, 4096}, {1, 2}});
  step->Setup(UseThreads)->UseManualTime()->Unit(benchmark::kMillisecond);
}

void EachRank(benchmark::internal::Benchmark* step) {
  step->ArgsProduct({{1024, 4096}, {1, 2}, {64, 128, 192}});
  step->Setup(UseThreads)->UseManualTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(LdlqStep)->Apply(EachSize);
BENCHMARK(PlainSweep)->Apply(EachSize);
BENCHMARK(DowndatedSweep)->Apply(EachRank);
BENCHMARK(DowndateStep)->Apply(EachRank);
BENCHMARK(Eigenvectors)->Apply(EachRank);
BENCHMARK(SignalStep)->Apply(EachRank);
BENCHMARK(LowRankStep)->Apply(EachRank);
BENCHMARK(ReportedError)->Apply(EachSize);

}  // namespace
}  // namespace caldera::decompose
