#include "numerics/decompose/hessian.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/hessian_state.h"
#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/factor.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kTile = 256;

std::size_t PackedIndex(std::int64_t row, std::int64_t column) {
  return static_cast<std::size_t>(row * (row + 1) / 2 + column);
}

// The first element that is NaN, infinite or unlike its mirror image, as row * n + column, or -1.
template <typename Bad>
std::int64_t FirstBad(std::int64_t size, const Bad& bad) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(size), -1);
  kernels::ParallelFor(size, [&](std::int64_t i) {
    for (std::int64_t j = 0; j < size && first[static_cast<std::size_t>(i)] < 0; ++j) {
      if (bad(i, j)) first[static_cast<std::size_t>(i)] = i * size + j;
    }
  });
  const auto found =
      std::find_if(first.begin(), first.end(), [](std::int64_t f) { return f >= 0; });
  return found == first.end() ? -1 : *found;
}

float LargestMagnitude(linalg::ConstViewF a) {
  float largest = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) largest = std::max(largest, std::abs(a(i, j)));
  }
  return largest;
}

absl::Status CheckHessian(linalg::ConstViewF hessian) {
  const std::int64_t n = hessian.rows;
  if (n == 0 || hessian.columns != n) {
    return base::InvalidArgument("hessian: {} x {}, expected a square matrix", n, hessian.columns);
  }
  if (const std::int64_t bad =
          FirstBad(n, [&](auto i, auto j) { return !std::isfinite(hessian(i, j)); });
      bad >= 0) {
    return base::InvalidArgument("hessian: row {}, column {} is not finite", bad / n, bad % n);
  }
  const float tolerance = 1e-5F * LargestMagnitude(hessian);
  if (const std::int64_t bad = FirstBad(
          n, [&](auto i, auto j) { return std::abs(hessian(i, j) - hessian(j, i)) > tolerance; });
      bad >= 0) {
    return base::InvalidArgument("hessian: not symmetric at row {}, column {}", bad / n, bad % n);
  }
  return absl::OkStatus();
}

double MeanDiagonal(linalg::ConstViewF hessian) {
  double sum = 0;
  for (std::int64_t i = 0; i < hessian.rows; ++i) sum += static_cast<double>(hessian(i, i));
  return sum / static_cast<double>(hessian.rows);
}

enum class Precision { kSingle, kDouble };

struct Attempt {
  double damping;
  Precision precision;
};

constexpr std::array<Attempt, 6> kLadder = {{{.01, Precision::kSingle},
                                             {.02, Precision::kSingle},
                                             {.05, Precision::kSingle},
                                             {.1, Precision::kSingle},
                                             {.01, Precision::kDouble},
                                             {.1, Precision::kDouble}}};

// Not split between ranks: rarely needed.
absl::Status FactorInDouble(linalg::ViewF a) {
  linalg::MatrixD wide(a.rows, a.columns);
  linalg::Copy(linalg::ConstViewF(a), wide.view());
  CALDERA_RETURN_IF_ERROR(linalg::CholeskyLower(wide.view()));
  linalg::Copy(std::as_const(wide).view(), a);
  return absl::OkStatus();
}

void AddToDiagonal(linalg::ViewF a, double value) {
  for (std::int64_t i = 0; i < a.rows; ++i) a(i, i) += static_cast<float>(value);
}

// Replaces `factor` by that of rotated + damping I, lower triangle only.
absl::Status FactorDamped(linalg::ConstViewF rotated, const Attempt& attempt,
                          const dist::Interrupt& interrupt, dist::SharedMatrix& factor) {
  const linalg::ViewF a = factor.writable();
  factor.ForOwnRows([&](std::int64_t i) {
    std::copy_n(rotated.row(i), rotated.columns, a.row(i));
    a(i, i) += static_cast<float>(attempt.damping);
  });
  factor.Publish();
  if (attempt.precision == Precision::kSingle) {
    return linalg::CholeskyLower(
        a, factor.share(), [&] { factor.Publish(); }, [&] { return interrupt.CheckStop(); });
  }
  return factor.IsFirst() ? FactorInDouble(a) : absl::OkStatus();
}

// `rotated` from `given`, not damped yet.
void Rotate(PreparedHessian::State& state) {
  const linalg::ConstViewF from = state.given.view();
  const linalg::ViewF to = state.rotated.writable();
  const double factor = 1 / state.mean_diagonal;
  state.rotated.ForOwnRows([&](std::int64_t i) {
    for (std::int64_t j = 0; j < from.columns; ++j) {
      to(i, j) = static_cast<float>(static_cast<double>(from(i, j)) * factor);
    }
  });
  state.rotated.Publish();
  if (state.rotated.IsFirst()) RotateSymmetric(to, state.input);
  state.rotated.Publish();
}

// `factor` and `damping` from `rotated`, with the first attempt that succeeds.
absl::Status FactorByLadder(PreparedHessian::State& state, dist::Communicator& communicator,
                            const dist::Interrupt& interrupt) {
  absl::Status status;
  for (const Attempt& attempt : kLadder) {
    status = AgreeWithRoot(FactorDamped(state.rotated.view(), attempt, interrupt, state.factor),
                           communicator);
    state.factor.Publish();
    state.damping = attempt.damping;
    if (status.ok() || absl::IsCancelled(status)) return status;
  }
  return base::FailedPrecondition(
      "hessian: not positive semidefinite: no Cholesky factor with relative damping up to {}: {}",
      kLadder.back().damping, base::MessageOf(status));
}

}  // namespace

struct HessianAccumulator::Tiles {
  struct Tile {
    std::int64_t row;
    std::int64_t column;
    linalg::MatrixF sum;
  };
  std::int64_t size = 0;
  std::int64_t tokens = 0;
  std::vector<Tile> owned;
};

HessianAccumulator::HessianAccumulator(std::int64_t size, int rank, int ranks)
    : tiles_(std::make_unique<Tiles>()) {
  tiles_->size = size;
  std::int64_t index = 0;
  for (std::int64_t row = 0; row < size; row += kTile) {
    for (std::int64_t column = 0; column <= row; column += kTile, ++index) {
      if (index % ranks != rank) continue;
      tiles_->owned.push_back(
          {row, column,
           linalg::MatrixF(std::min(kTile, size - row), std::min(kTile, size - column))});
    }
  }
}

HessianAccumulator::HessianAccumulator(HessianAccumulator&&) noexcept = default;
HessianAccumulator& HessianAccumulator::operator=(HessianAccumulator&&) noexcept = default;
HessianAccumulator::~HessianAccumulator() = default;

void HessianAccumulator::Add(linalg::ConstViewF activations) {
  linalg::PinBlasToOneThread();  // before any parallel loop, where OpenMP would forget it
  tiles_->tokens += activations.rows;
  kernels::ParallelFor(static_cast<std::int64_t>(tiles_->owned.size()), [&](std::int64_t t) {
    Tiles::Tile& tile = tiles_->owned[static_cast<std::size_t>(t)];
    const auto rows = activations.Columns(tile.row, tile.sum.rows());
    const auto columns = activations.Columns(tile.column, tile.sum.columns());
    linalg::Gemm(linalg::Transposed(rows), columns, tile.sum.view(), linalg::kAddTo);
  });
}

HessianSum HessianAccumulator::Take() && {
  const std::int64_t n = tiles_->size;
  HessianSum sum{n, tiles_->tokens, std::vector<float>(PackedIndex(n, 0))};
  for (const Tiles::Tile& tile : tiles_->owned) {
    for (std::int64_t i = 0; i < tile.sum.rows(); ++i) {
      const std::int64_t row = tile.row + i;
      const std::int64_t count = std::min(tile.sum.columns(), row - tile.column + 1);
      std::copy_n(tile.sum.row(i), count, &sum.packed_lower[PackedIndex(row, tile.column)]);
    }
  }
  tiles_ = std::make_unique<Tiles>();
  return sum;
}

absl::StatusOr<linalg::MatrixF> MeanHessian(std::span<const HessianSum> partials) {
  if (partials.empty()) return base::InvalidArgument("hessian: no partial sums");
  const std::int64_t n = partials.front().size;
  std::int64_t tokens = 0;
  for (const HessianSum& partial : partials) {
    if (partial.size != n || partial.packed_lower.size() != PackedIndex(n, 0)) {
      return base::InvalidArgument("hessian: partial sum of size {} with {} values, expected {}",
                                   partial.size, partial.packed_lower.size(), n);
    }
    tokens += partial.tokens;
  }
  if (tokens <= 0) return base::InvalidArgument("hessian: {} tokens", tokens);
  linalg::MatrixF mean(n, n);
  kernels::ParallelFor(n, [&](std::int64_t i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (const HessianSum& partial : partials) {
        sum += static_cast<double>(partial.packed_lower[PackedIndex(i, j)]);
      }
      mean(i, j) = static_cast<float>(sum / static_cast<double>(tokens));
    }
  });
  linalg::MirrorLower(mean.view());
  return mean;
}

PreparedHessian::PreparedHessian(std::unique_ptr<State> state) : state_(std::move(state)) {}
PreparedHessian::PreparedHessian(PreparedHessian&&) noexcept = default;
PreparedHessian& PreparedHessian::operator=(PreparedHessian&&) noexcept = default;
PreparedHessian::~PreparedHessian() = default;

std::int64_t PreparedHessian::size() const { return state_->given.rows(); }

absl::StatusOr<PreparedHessian> PrepareHessian(dist::SharedMatrix hessian, std::uint64_t input_seed,
                                               dist::Communicator& communicator,
                                               const dist::Interrupt& interrupt) {
  linalg::PinBlasToOneThread();  // before any parallel loop, where OpenMP would forget it
  absl::Status own;
  if (hessian.IsFirst()) own = CheckHessian(hessian.view());
  CALDERA_RETURN_IF_ERROR(AgreeWithRoot(own, communicator));
  const std::int64_t n = hessian.rows();
  auto state = std::make_unique<PreparedHessian::State>();
  const double mean = MeanDiagonal(hessian.view());
  if (mean < 0) return base::FailedPrecondition("hessian: negative mean diagonal {}", mean);
  state->mean_diagonal = mean > 0 ? mean : 1;
  state->input = MakeRotation(n, input_seed, Side::kInput);
  state->given = std::move(hessian);
  state->rotated = dist::SharedMatrix(n, n, communicator);
  state->factor = dist::SharedMatrix(n, n, communicator);
  Rotate(*state);
  CALDERA_RETURN_IF_ERROR(FactorByLadder(*state, communicator, interrupt));
  const linalg::ViewF factor = state->factor.writable();
  state->factor.ForOwnRows(
      [&](std::int64_t i) { std::fill(factor.row(i) + i + 1, factor.row(i) + n, 0.0F); });
  if (state->rotated.IsFirst()) AddToDiagonal(state->rotated.writable(), state->damping);
  state->rotated.Publish();
  state->factor.Publish();
  return PreparedHessian(std::move(state));
}

absl::StatusOr<PreparedHessian> PrepareHessian(linalg::MatrixF hessian, std::uint64_t input_seed) {
  dist::SerialCommunicator serial;
  dist::SharedMatrix given = dist::SharedMatrix::FromRoot(hessian, serial);
  hessian = linalg::MatrixF();  // its memory is wanted
  return PrepareHessian(std::move(given), input_seed, serial);
}

}  // namespace caldera::decompose
