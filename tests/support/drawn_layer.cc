#include "tests/support/drawn_layer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <sstream>
#include <vector>

#include "numerics/linalg/blas.h"
#include "numerics/linalg/factor.h"

namespace caldera::test_support {
namespace {

constexpr std::array<const char*, 5> kSpectra = {"flat", "1/k", "1/k^2", "dominating", "blocks"};
constexpr std::int64_t kRowGroup = 64;

// Streams of one seed.
constexpr std::uint64_t kDrawStream = 100;
constexpr std::uint64_t kRadiusStream = 101;
constexpr std::uint64_t kAngleStream = 102;
constexpr std::uint64_t kLeftStream = 103;
constexpr std::uint64_t kRightStream = 104;
constexpr std::uint64_t kBasisStream = 105;
constexpr std::uint64_t kPlaceStream = 106;
constexpr std::uint64_t kGroupStream = 107;

linalg::MatrixF Normal(const LayerSpec& spec, std::uint64_t stream, std::int64_t rows,
                       std::int64_t columns) {
  linalg::MatrixF matrix(rows, columns);
  linalg::Random(spec.seed, stream).FillNormal(matrix.view());
  return matrix;
}

// Up to `count` different columns.
std::vector<std::int64_t> Places(const LayerSpec& spec, std::int64_t count, std::uint64_t first) {
  const linalg::Random random(spec.seed, kPlaceStream);
  std::vector<std::int64_t> places(static_cast<std::size_t>(count));
  for (std::int64_t& place : places) {
    place = static_cast<std::int64_t>(random.Uniform(first++) * static_cast<double>(spec.columns));
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

// Student's t with d degrees of freedom is sqrt(d (u^(-2/d) - 1)) cos(2 pi v) for uniform u and v;
// its variance is d / (d - 2).
void FillStudent(const LayerSpec& spec, double scale, linalg::MatrixF& weight) {
  const linalg::Random radius(spec.seed, kRadiusStream);
  const linalg::Random angle(spec.seed, kAngleStream);
  const double d = spec.degrees;
  const double unit = scale * std::sqrt(d - 2);
  std::uint64_t index = 0;
  for (std::int64_t i = 0; i < weight.rows(); ++i) {
    for (std::int64_t j = 0; j < weight.columns(); ++j, ++index) {
      const double u = 1 - radius.Uniform(index);
      weight(i, j) = static_cast<float>(unit * std::sqrt(std::pow(u, -2 / d) - 1) *
                                        std::cos(2 * std::numbers::pi * angle.Uniform(index)));
    }
  }
}

void ScaleColumn(linalg::MatrixF& matrix, std::int64_t column, double gain) {
  for (std::int64_t i = 0; i < matrix.rows(); ++i) matrix(i, column) *= static_cast<float>(gain);
}

double EigenvalueOf(const LayerSpec& spec, std::int64_t k) {
  const double place = static_cast<double>(k + 1);
  switch (spec.spectrum) {
    case Spectrum::kInverse:
      return 1 / place;
    case Spectrum::kInverseSquare:
      return 1 / (place * place);
    case Spectrum::kDominating:
      return k < spec.width ? spec.strength : 1;
    case Spectrum::kFlat:
    case Spectrum::kBlocks:
      break;
  }
  return 1;
}

// V diag(eigenvalues) V^T with random orthonormal V.
linalg::MatrixF RotatedSpectrum(const LayerSpec& spec) {
  const std::int64_t n = spec.columns;
  linalg::MatrixF basis = Normal(spec, kBasisStream, n, n);
  if (!linalg::OrthonormalizeColumns(basis.view()).ok()) return {};
  double sum = 0;
  for (std::int64_t k = 0; k < n; ++k) sum += EigenvalueOf(spec, k);
  for (std::int64_t k = 0; k < n; ++k) {
    ScaleColumn(basis, k, std::sqrt(EigenvalueOf(spec, k) * static_cast<double>(n) / sum));
  }
  linalg::MatrixF hessian(n, n);
  linalg::SyrkLower(basis, hessian.view());
  linalg::MirrorLower(hessian.view());
  return hessian;
}

// Unit diagonal, `strength` between channels of one group.
linalg::MatrixF CorrelatedBlocks(const LayerSpec& spec) {
  linalg::MatrixF hessian(spec.columns, spec.columns);
  for (std::int64_t i = 0; i < spec.columns; ++i) {
    const std::int64_t first = i / spec.width * spec.width;
    for (std::int64_t j = first; j < std::min(first + spec.width, spec.columns); ++j) {
      hessian(i, j) = i == j ? 1.0F : static_cast<float>(spec.strength);
    }
  }
  return hessian;
}

void DrawShape(std::uint64_t kind, Extent extent, Draws& draws, LayerSpec& spec) {
  const bool large = extent == Extent::kLarge;
  switch (kind) {
    case 0:
      spec.rows = large ? draws.Pick<std::int64_t>({64, 72, 128}) : 64;
      spec.columns = large ? draws.Pick<std::int64_t>({576, 832, 1024})
                           : draws.Pick<std::int64_t>({320, 416, 512});
      return;
    case 1:  // multiples of 8, of n also of 16 plus 8
      spec.rows = 8 * draws.Integer(large ? 20 : 10, large ? 40 : 20);
      spec.columns = 8 * (2 * draws.Integer(large ? 20 : 6, large ? 52 : 16) + 1);
      return;
    case 2:
      spec.rows = large ? draws.Pick<std::int64_t>({512, 768, 1024})
                        : draws.Pick<std::int64_t>({256, 320, 384});
      spec.columns =
          large ? draws.Pick<std::int64_t>({96, 128, 192}) : draws.Pick<std::int64_t>({64, 80, 96});
      return;
    default:
      spec.rows = spec.columns = large ? draws.Pick<std::int64_t>({256, 384, 512, 576, 768})
                                       : draws.Pick<std::int64_t>({128, 192, 256, 320});
  }
}

void DrawInputs(Draws& draws, LayerSpec& spec) {
  if (spec.spectrum == Spectrum::kDominating) {
    spec.width = draws.Integer(1, 8);
    spec.strength = draws.LogUniform(30, 3000);
  }
  if (spec.spectrum == Spectrum::kBlocks) {
    spec.width = draws.Integer(4, 48);
    spec.strength = draws.Uniform(.3, .95);
  }
  spec.outlier_channels = draws.Pick<std::int64_t>({0, 0, 1, 4, spec.columns / 37});
  spec.channel_gain = draws.LogUniform(3, 30);
}

}  // namespace

Draws::Draws(std::uint64_t seed) : random_(seed, kDrawStream) {}

double Draws::Uniform(double low, double high) {
  return low + (high - low) * random_.Uniform(next_++);
}

double Draws::LogUniform(double low, double high) {
  return std::exp(Uniform(std::log(low), std::log(high)));
}

std::int64_t Draws::Integer(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(Uniform(0, static_cast<double>(high - low + 1)));
}

std::string Describe(const LayerSpec& spec) {
  std::ostringstream text;
  text << "seed " << spec.seed << ": " << spec.rows << " x " << spec.columns << ", spectrum "
       << kSpectra[static_cast<std::size_t>(spec.spectrum)] << " (width " << spec.width
       << ", strength " << spec.strength << "), " << spec.outlier_channels << " channels x "
       << spec.channel_gain << "; t with " << spec.degrees << " degrees, rank " << spec.signal_rank
       << " with " << spec.signal_energy << ", " << spec.outlier_columns << " columns x "
       << spec.column_gain << ", row spread " << spec.row_spread;
  return text.str();
}

LayerSpec DrawLayer(std::uint64_t index, Extent extent, Draws& draws) {
  LayerSpec spec;
  spec.seed = static_cast<std::uint64_t>(draws.Integer(1, 1'000'000'000));
  DrawShape(index % 4, extent, draws, spec);
  spec.spectrum = static_cast<Spectrum>(index % kSpectra.size());
  DrawInputs(draws, spec);
  spec.degrees = draws.LogUniform(3, 50);
  spec.signal_rank = draws.Pick<std::int64_t>({0, 2, 8, 32});
  spec.signal_energy = spec.signal_rank == 0 ? 0 : draws.Uniform(.05, .6);
  spec.outlier_columns = draws.Pick<std::int64_t>({0, 0, 1, 4});
  spec.column_gain = draws.LogUniform(3, 20);
  spec.row_spread = draws.Pick({1.0, 1.0, 2.0, 4.0});
  return spec;
}

linalg::MatrixF MakeWeight(const LayerSpec& spec) {
  linalg::MatrixF weight(spec.rows, spec.columns);
  FillStudent(spec, std::sqrt(1 - spec.signal_energy), weight);
  if (spec.signal_rank > 0) {
    const linalg::MatrixF left = Normal(spec, kLeftStream, spec.rows, spec.signal_rank);
    const linalg::MatrixF right = Normal(spec, kRightStream, spec.signal_rank, spec.columns);
    linalg::Gemm(left, right, weight.view(),
                 {std::sqrt(spec.signal_energy / static_cast<double>(spec.signal_rank)), 1});
  }
  for (const std::int64_t place : Places(spec, spec.outlier_columns, 0)) {
    ScaleColumn(weight, place, spec.column_gain);
  }
  const linalg::Random groups(spec.seed, kGroupStream);
  for (std::int64_t i = 0; i < spec.rows; ++i) {
    const double place = 2 * groups.Uniform(static_cast<std::uint64_t>(i / kRowGroup)) - 1;
    const auto gain = static_cast<float>(std::pow(spec.row_spread, place));
    for (std::int64_t j = 0; j < spec.columns; ++j) weight(i, j) *= gain;
  }
  return weight;
}

linalg::MatrixF MakeHessian(const LayerSpec& spec) {
  linalg::MatrixF hessian =
      spec.spectrum == Spectrum::kBlocks ? CorrelatedBlocks(spec) : RotatedSpectrum(spec);
  constexpr std::uint64_t kAfterColumns = 1000;  // of W
  for (const std::int64_t place : Places(spec, spec.outlier_channels, kAfterColumns)) {
    ScaleColumn(hessian, place, spec.channel_gain);
    for (std::int64_t j = 0; j < spec.columns; ++j) {
      hessian(place, j) *= static_cast<float>(spec.channel_gain);
    }
  }
  return hessian;
}

}  // namespace caldera::test_support
