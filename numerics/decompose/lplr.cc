#include "numerics/decompose/lplr.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/context.h"
#include "numerics/decompose/decompose.h"
#include "numerics/decompose/incoherence.h"
#include "numerics/decompose/ldlq.h"
#include "numerics/decompose/pair_fit.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::decompose {
namespace {

constexpr int kResidualRounds = 4;
// A round that leaves more of the squared error than this is the last.
constexpr double kWorthwhile = .995;

// Q + L R, or L R alone.
struct Approximation {
  LowRank pair;
  Rounded q;
  std::vector<float> q_scales;
  double squared = 0;
};

// Q = grid(A - L R).
Approximation AddResidual(Context& context, linalg::ConstViewF a, LowRank pair,
                          const lattice::Codebook& codebook) {
  linalg::MatrixF rest(a.rows, a.columns);
  linalg::Copy(a, rest.view());
  linalg::GemmByRows(pair.l.decoded, pair.r.decoded, rest.view(), linalg::kSubtractFrom,
                     context.block_rows());
  GroupScales scales = ScalesOfGroups(rest.view(), codebook);
  Approximation next{std::move(pair), {}, {}, 0};
  next.q = RoundPlain(rest.view(), {&codebook, scales.rows}, context.blocks());
  next.q_scales = std::move(scales.groups);
  const linalg::MatrixF left = Difference(rest.view(), next.q.decoded.view());
  next.squared = dist::Dot(left.view(), left.view(), context.partition, context.communicator);
  return next;
}

class Compression {
 public:
  Compression(Context& context, linalg::ConstViewF a, const LplrOptions& options)
      : context_(context),
        a_(a),
        residual_bits_(options.residual_bits),
        pair_options_{options.rank, options.factor_bits, options.seed} {}

  absl::StatusOr<Approximation> Run(LplrResult& result) {
    const double total = dist::Dot(a_, a_, context_.partition, context_.communicator);
    const auto relative = [total](double squared) {
      return total > 0 ? std::sqrt(squared / total) : 0.0;
    };
    CALDERA_ASSIGN_OR_RETURN(FittedPair fitted, FitPair(context_, a_, pair_options_));
    result.unquantised_error = relative(fitted.unquantised_squared);
    Approximation best;
    if (residual_bits_.value() == 0) {
      best.pair = std::move(fitted.pair);
    } else {
      CALDERA_ASSIGN_OR_RETURN(best, WithResidual(fitted));
    }
    for (const double squared : fitted.squared) {
      result.error_curve.push_back(relative(squared));
    }
    return best;
  }

 private:
  // Q for the pair and the pair for A - Q take turns; `fitted.squared` becomes theirs.
  absl::StatusOr<Approximation> WithResidual(FittedPair& fitted) {
    CALDERA_ASSIGN_OR_RETURN(
        const lattice::Codebook* codebook,
        lattice::FindCodebook(model::CodebookKind::kTrellis10, residual_bits_));
    Approximation best = AddResidual(context_, a_, std::move(fitted.pair), *codebook);
    fitted.squared = {best.squared};
    for (int round = 1; round < kResidualRounds; ++round) {
      const linalg::MatrixF rest = Difference(a_, best.q.decoded.view());
      CALDERA_ASSIGN_OR_RETURN(FittedPair again, FitPair(context_, rest.view(), pair_options_));
      Approximation next = AddResidual(context_, a_, std::move(again.pair), *codebook);
      fitted.squared.push_back(next.squared);
      const bool worthwhile = next.squared < kWorthwhile * best.squared;
      if (next.squared < best.squared) best = std::move(next);
      if (!worthwhile) break;
    }
    return best;
  }

  Context& context_;
  linalg::ConstViewF a_;
  base::Bits residual_bits_;
  PairOptions pair_options_;
};

absl::Status CheckOptions(linalg::ConstViewD data, const LplrOptions& options) {
  if (data.empty()) {
    return base::InvalidArgument("a {} x {} matrix has no values", data.rows, data.columns);
  }
  const std::int64_t largest = std::min(data.rows, data.columns);
  if (options.rank < 1 || options.rank > largest) {
    return base::InvalidArgument("rank {} of a {} x {} matrix: expected 1 to {}", options.rank,
                                 data.rows, data.columns, largest);
  }
  const int bits = options.factor_bits.value();
  if (bits != 4 && bits != 8 && bits != 16) {
    return base::InvalidArgument("factors of {} bits: expected 4, 8 or 16", bits);
  }
  const int residual = options.residual_bits.value();
  if (residual != 0 && (residual < 2 || residual > 4)) {
    return base::InvalidArgument("a residual of {} bits: expected 2, 3 or 4, or 0 for none",
                                 residual);
  }
  return absl::OkStatus();
}

absl::StatusOr<double> LargestValue(linalg::ConstViewD data) {
  double largest = 0;
  for (std::int64_t i = 0; i < data.rows; ++i) {
    for (std::int64_t j = 0; j < data.columns; ++j) {
      const double magnitude = std::abs(data.row(i)[j]);
      if (!(magnitude <= static_cast<double>(std::numeric_limits<float>::max()))) {
        return base::InvalidArgument("row {}, column {}: {} is not finite in float32", i, j,
                                     data.row(i)[j]);
      }
      largest = std::max(largest, magnitude);
    }
  }
  return largest;
}

linalg::MatrixF DividedBy(linalg::ConstViewD data, float unit) {
  linalg::MatrixF scaled(data.rows, data.columns);
  kernels::ParallelFor(data.rows, [&](std::int64_t i) {
    for (std::int64_t j = 0; j < data.columns; ++j) {
      scaled.row(i)[j] = static_cast<float>(data.row(i)[j] / static_cast<double>(unit));
    }
  });
  return scaled;
}

std::vector<float> Times(std::vector<float> scales, float unit) {
  for (float& scale : scales) scale *= unit;
  return scales;
}

// The stored form of an approximation of the rotated matrix divided by `unit`.
model::CompressedMatrix MatrixOf(Approximation from, float unit, const Rotation& input,
                                 const Rotation& output, const LplrOptions& options) {
  model::CompressedMatrix matrix;
  model::CompressedMatrixHeader& header = matrix.header;
  header.rows = static_cast<std::int64_t>(output.signs.size());
  header.columns = static_cast<std::int64_t>(input.signs.size());
  header.rank = options.rank;
  header.codebook = model::CodebookKind::kTrellis10;
  header.q_bits = options.residual_bits;
  header.l_bits = header.r_bits = options.factor_bits;
  header.input_block = input.block;
  header.output_block = output.block;
  matrix.q_scale = Times(std::move(from.q_scales), unit);
  matrix.q_codes = std::move(from.q.codes);
  matrix.l_scale = Times(std::move(from.pair.l.scales), unit);
  matrix.l_codes = std::move(from.pair.l.codes);
  matrix.r_scale = std::move(from.pair.r.scales);
  matrix.r_codes = std::move(from.pair.r.codes);
  matrix.sign_in = SignBits(input);
  matrix.sign_out = SignBits(output);
  return matrix;
}

}  // namespace

absl::StatusOr<LplrResult> Lplr(linalg::ConstViewD data, const LplrOptions& options) {
  linalg::PinBlasToOneThread();  // before any parallel loop, where OpenMP would forget it
  CALDERA_RETURN_IF_ERROR(CheckOptions(data, options));
  CALDERA_ASSIGN_OR_RETURN(const double largest, LargestValue(data));
  const float unit = UnitOf(largest);
  const Rotation output = MakeRotation(data.rows, options.seed, Side::kOutput);
  const Rotation input = MakeRotation(data.columns, options.seed, Side::kInput);
  linalg::MatrixF rotated = DividedBy(data, unit);
  RotateOutputs(rotated.view(), output, 0, kernels::Direction::kForward);
  RotateInputs(rotated.view(), input, kernels::Direction::kForward);
  dist::SerialCommunicator alone;
  const dist::RowPartition partition(data.rows, RowBlock(data.rows), 1);
  Context context{partition, alone};
  LplrResult result;
  CALDERA_ASSIGN_OR_RETURN(Approximation best,
                           Compression(context, rotated.view(), options).Run(result));
  result.matrix = MatrixOf(std::move(best), unit, input, output, options);
  return result;
}

double RelativeFrobeniusError(linalg::ConstViewD x, linalg::ConstViewF a) {
  // In units of the largest value, so that no square of a small one vanishes.
  double unit = 0;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.columns; ++j) unit = std::max(unit, std::abs(x.row(i)[j]));
  }
  if (unit == 0) unit = 1;
  double error = 0;
  double reference = 0;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.columns; ++j) {
      const double value = x.row(i)[j] / unit;
      const double difference = (x.row(i)[j] - static_cast<double>(a.row(i)[j])) / unit;
      error += difference * difference;
      reference += value * value;
    }
  }
  return error == 0 ? 0 : std::sqrt(error / reference);
}

}  // namespace caldera::decompose
