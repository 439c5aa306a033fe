#include "numerics/decompose/factor_rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/downdate.h"
#include "numerics/decompose/ldlq.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/codebook.h"
#include "numerics/lattice/factor_code.h"

namespace caldera::decompose {
namespace {

constexpr base::Bits kLatticeBits{4};
constexpr base::Bits kIntegerBits{8};

bool ByFeedback(const FactorGrid& grid) {
  return (grid.bits == kLatticeBits || grid.bits == kIntegerBits) &&
         grid.rounding == FactorRounding::kFeedback;
}

// The grid of 8-bit factors for Ldlq, without codes: 8 of them do not fit in one of a Codebook, and
// QuantiseL and QuantiseR find the integers of values on the grid again.
class Integers final : public lattice::Codebook {
 public:
  base::Bits bits() const override { return kIntegerBits; }
  float input_rms() const override { return 1; }
  double gaussian_error() const override { return 1. / 12; }
  bool exact() const override { return true; }

  void Encode(const float* x, std::size_t stride, std::size_t count, std::uint32_t* codes,
              float* decoded) const override {
    constexpr float kLargest = 127;
    std::fill_n(codes, count, 0U);
    for (std::size_t i = 0; i < lattice::kCodeDimension; ++i) {
      for (std::size_t v = i * stride; v < i * stride + count; ++v) {
        decoded[v] = std::clamp(std::nearbyint(x[v]), -kLargest, kLargest);
      }
    }
  }
  void Decode(const lattice::CodeRows&, float*, std::size_t) const override {}
};

absl::StatusOr<const lattice::Codebook*> GridOf(base::Bits bits) {
  static const Integers integers;
  if (bits == kIntegerBits) return &integers;
  return lattice::FindCodebook(model::CodebookKind::kE8P, kLatticeBits);
}

// Rounds out.decoded to the grid of out.scales, with codes.
absl::Status EncodeLeft(base::Bits bits, Factor& out) {
  const linalg::ViewF l = out.decoded.view();
  out.codes.resize(static_cast<std::size_t>(lattice::LCodeCount(l.rows, l.columns, bits)));
  return lattice::QuantiseL(l, bits, out.scales, out.codes, l);
}

absl::Status EncodeRight(base::Bits bits, Factor& out) {
  const linalg::ViewF r = out.decoded.view();
  out.codes.resize(static_cast<std::size_t>(lattice::RCodeCount(r.rows, r.columns, bits)));
  return lattice::QuantiseR(r, bits, out.scales, out.codes, r);
}

// Statistics of the columns of the whole L: block partials of all ranks, added in block order.
std::vector<lattice::FactorStatistics> GlobalColumnStatistics(Context& context,
                                                              linalg::ConstViewF l) {
  const std::int64_t blocks = context.partition.blocks();
  const std::int64_t first = context.partition.FirstBlock(context.communicator.rank());
  std::vector<double> squares(static_cast<std::size_t>(blocks * l.columns));
  std::vector<double> largest(static_cast<std::size_t>(l.columns));
  for (std::int64_t row = 0; row < l.rows; row += context.block_rows()) {
    const auto part =
        lattice::StatisticsOfColumns(l.Rows(row, std::min(context.block_rows(), l.rows - row)));
    double* const to = squares.data() + (first + row / context.block_rows()) * l.columns;
    for (std::size_t k = 0; k < part.size(); ++k) {
      to[k] = part[k].sum_of_squares;
      largest[k] = std::max(largest[k], part[k].largest_magnitude);
    }
  }
  context.communicator.AllReduceSum(squares);
  context.communicator.AllReduceMax(largest);
  std::vector<lattice::FactorStatistics> statistics(largest.size());
  for (std::size_t k = 0; k < statistics.size(); ++k) {
    for (std::size_t at = k; at < squares.size(); at += statistics.size()) {
      statistics[k].sum_of_squares += squares[at];
    }
    statistics[k].largest_magnitude = largest[k];
  }
  return statistics;
}

std::vector<float> Widened(std::vector<float> scales, float widening) {
  for (float& scale : scales) scale *= widening;
  return scales;
}

// Columns k of `l` times factors[k].
linalg::MatrixF ScaleColumns(linalg::ConstViewF l, std::span<const float> factors) {
  linalg::MatrixF scaled(l.rows, l.columns);
  for (std::int64_t i = 0; i < l.rows; ++i) {
    for (std::int64_t k = 0; k < l.columns; ++k) {
      scaled.row(i)[k] = l.row(i)[k] * factors[static_cast<std::size_t>(k)];
    }
  }
  return scaled;
}

// The Cholesky factor of diag(scales) gram diag(scales), in float.
absl::StatusOr<linalg::MatrixF> ScaledFactor(linalg::ConstViewD gram,
                                             std::span<const float> scales) {
  linalg::MatrixD scaled(gram.rows, gram.columns);
  for (std::int64_t i = 0; i < gram.rows; ++i) {
    for (std::int64_t j = 0; j < gram.columns; ++j) {
      scaled(i, j) = gram(i, j) * static_cast<double>(scales[static_cast<std::size_t>(i)]) *
                     static_cast<double>(scales[static_cast<std::size_t>(j)]);
    }
  }
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD factor, RidgedCholesky(scaled.view()));
  linalg::MatrixF narrow(gram.rows, gram.columns);
  linalg::Copy(factor.view(), narrow.view());
  return narrow;
}

// [vectors][columns] -> [vectors][columns rounded up to 8], zeros behind.
std::vector<std::uint32_t> PadCodes(const std::vector<std::uint32_t>& codes, std::int64_t columns) {
  const std::int64_t padded = LanesOf(columns);
  const std::int64_t vectors = static_cast<std::int64_t>(codes.size()) / columns;
  std::vector<std::uint32_t> out(static_cast<std::size_t>(vectors * padded));
  for (std::int64_t v = 0; v < vectors; ++v) {
    std::copy_n(codes.data() + v * columns, columns, out.data() + v * padded);
  }
  return out;
}

absl::StatusOr<Factor> RoundLeftByFeedback(Context& context, linalg::ConstViewF l,
                                           linalg::ConstViewD gram, base::Bits bits, Factor out) {
  CALDERA_ASSIGN_OR_RETURN(const lattice::Codebook* codebook, GridOf(bits));
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixF factor, ScaledFactor(gram, out.scales));
  std::vector<float> inverse(out.scales.size());
  std::transform(out.scales.begin(), out.scales.end(), inverse.begin(),
                 [](float scale) { return scale > 0 ? 1 / scale : 0.0F; });
  const std::vector<float> unit(static_cast<std::size_t>(l.rows), 1.0F);
  const Rounded rounded = Ldlq(ScaleColumns(l, inverse).view(), factor.view(), {codebook, unit},
                               {context.block_rows()});
  context.flops += LdlqFlops(l.rows, l.columns);
  out.codes = PadCodes(rounded.codes, l.columns);
  out.decoded = ScaleColumns(rounded.decoded.view(), out.scales);
  if (bits != kLatticeBits) CALDERA_RETURN_IF_ERROR(EncodeLeft(bits, out));
  return out;
}

// Concatenates the ranks' parts of a vector of T.
template <typename T>
void GatherInto(Context& context, std::span<const T> part, std::span<T> whole) {
  const std::vector<std::byte> bytes = context.communicator.AllGather(std::as_bytes(part));
  if (!bytes.empty()) std::memcpy(whole.data(), bytes.data(), bytes.size());
}

absl::StatusOr<Factor> RoundRightByFeedback(Context& context, linalg::ConstViewF r,
                                            linalg::ConstViewF factor, base::Bits bits,
                                            Factor out) {
  CALDERA_ASSIGN_OR_RETURN(const lattice::Codebook* codebook, GridOf(bits));
  const std::int64_t block = r.rows > 64 ? 64 : 32;
  const dist::RowPartition shares(r.rows, block, context.communicator.size());
  const int rank = context.communicator.rank();
  const std::int64_t first = shares.FirstRow(rank);
  const std::int64_t count = shares.RowCount(rank);
  const RowGrid grid{codebook, out.scales};
  const Rounded rounded = Ldlq(r.Rows(first, count), factor, grid.Rows(first, count), {block});
  context.flops += LdlqFlops(count, r.columns);
  if (bits == kLatticeBits) {
    out.codes.resize(static_cast<std::size_t>(VectorsOf(r.rows) * r.columns));
    GatherInto<std::uint32_t>(context, rounded.codes, out.codes);
  }
  GatherInto<float>(context,
                    std::span(rounded.decoded.data(), static_cast<std::size_t>(count * r.columns)),
                    std::span(out.decoded.data(), static_cast<std::size_t>(r.rows * r.columns)));
  if (bits != kLatticeBits) CALDERA_RETURN_IF_ERROR(EncodeRight(bits, out));
  return out;
}

// Block LDLQ of some columns of R. With E = R' - R and the Gram matrix C C^T, the blocks of 8 rank
// indices from the last to the first become grid(R_b - C_bb^-T sum_{j > b} C_jb^T E_j).
class RankFeedback {
 public:
  RankFeedback(linalg::ConstViewF r, linalg::ConstViewF factor, std::span<const float> scales,
               base::Bits bits)
      : r_(r), factor_(factor), scales_(scales), bits_(bits), error_(r.rows, r.columns) {}

  // Writes columns `first` ... of codes and values.
  absl::Status Run(Factor& out, std::int64_t first) {
    for (std::int64_t row = (VectorsOf(r_.rows) - 1) * kBlock; row >= 0; row -= kBlock) {
      CALDERA_RETURN_IF_ERROR(RoundBlock(row, out, first));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr std::int64_t kBlock = lattice::kCodeDimension;

  absl::Status RoundBlock(std::int64_t row, Factor& out, std::int64_t first) {
    const std::int64_t rows = std::min(kBlock, r_.rows - row);
    const std::int64_t later = r_.rows - row - rows;
    linalg::MatrixF target(rows, r_.columns);
    linalg::Gemm(linalg::Transposed(factor_.Block(row + rows, row, later, rows)),
                 std::as_const(error_).view().Rows(row + rows, later), target.view(), {-1, 0});
    linalg::TrsmLower(linalg::Side::kLeft, linalg::Transposed(factor_.Block(row, row, rows, rows)),
                      target.view());
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < r_.columns; ++j) target(i, j) += r_(row + i, j);
    }
    const auto scales =
        scales_.subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(rows));
    std::vector<std::uint32_t> codes(
        static_cast<std::size_t>(lattice::RCodeCount(rows, r_.columns, bits_)));
    CALDERA_RETURN_IF_ERROR(lattice::QuantiseR(target.view(), bits_, scales, codes, target.view()));
    Store(row, target, codes, first, out);
    return absl::OkStatus();
  }

  void Store(std::int64_t row, const linalg::MatrixF& decoded,
             const std::vector<std::uint32_t>& codes, std::int64_t first, Factor& out) {
    for (std::int64_t i = 0; i < decoded.rows(); ++i) {
      for (std::int64_t j = 0; j < r_.columns; ++j) {
        error_(row + i, j) = decoded(i, j) - r_(row + i, j);
        out.decoded(row + i, first + j) = decoded(i, j);
      }
    }
    const std::int64_t lines = static_cast<std::int64_t>(codes.size()) / r_.columns;
    const std::int64_t first_line = row / kBlock * lines;
    for (std::int64_t i = 0; i < lines; ++i) {
      std::copy_n(codes.data() + i * r_.columns, r_.columns,
                  out.codes.data() + (first_line + i) * out.decoded.columns() + first);
    }
  }

  linalg::ConstViewF r_;
  linalg::ConstViewF factor_;
  std::span<const float> scales_;
  base::Bits bits_;
  linalg::MatrixF error_;  // of the blocks done
};

}  // namespace

absl::StatusOr<Factor> RoundLeft(Context& context, linalg::ConstViewF l, linalg::ConstViewD gram,
                                 const FactorGrid& grid) {
  const base::Bits bits = grid.bits;
  Factor out;
  out.scales =
      Widened(lattice::ScalesOf(GlobalColumnStatistics(context, l), context.partition.rows(), bits),
              grid.widening);
  if (ByFeedback(grid)) return RoundLeftByFeedback(context, l, gram, bits, std::move(out));
  out.decoded = linalg::MatrixF(l.rows, l.columns);
  linalg::Copy(l, out.decoded.view());
  CALDERA_RETURN_IF_ERROR(EncodeLeft(bits, out));
  return out;
}

absl::StatusOr<Factor> RoundRight(Context& context, linalg::ConstViewF r, const Metric& metric,
                                  const FactorGrid& grid) {
  const base::Bits bits = grid.bits;
  Factor out;
  out.scales = lattice::ScalesOf(lattice::StatisticsOfRows(r), r.columns, bits);
  out.decoded = linalg::MatrixF(r.rows, r.columns);
  if (ByFeedback(grid) && !metric.IsIdentity()) {
    return RoundRightByFeedback(context, r, metric.factor, bits, std::move(out));
  }
  linalg::Copy(r, out.decoded.view());
  CALDERA_RETURN_IF_ERROR(EncodeRight(bits, out));
  return out;
}

absl::StatusOr<Factor> RoundRightAgainstLeft(Context& context, linalg::ConstViewF r,
                                             linalg::ConstViewD gram, base::Bits bits,
                                             float widening) {
  constexpr std::int64_t kPanel = 256;
  CALDERA_ASSIGN_OR_RETURN(const linalg::MatrixD wide, RidgedCholesky(gram));
  linalg::MatrixF factor(gram.rows, gram.columns);
  linalg::Copy(wide.view(), factor.view());
  Factor out;
  out.scales = Widened(lattice::ScalesOf(lattice::StatisticsOfRows(r), r.columns, bits), widening);
  out.decoded = linalg::MatrixF(r.rows, r.columns);
  out.codes.resize(static_cast<std::size_t>(lattice::RCodeCount(r.rows, r.columns, bits)));
  std::vector<absl::Status> results(static_cast<std::size_t>((r.columns + kPanel - 1) / kPanel));
  kernels::ParallelFor(static_cast<std::int64_t>(results.size()), [&](std::int64_t panel) {
    const std::int64_t first = panel * kPanel;
    RankFeedback feedback(r.Columns(first, std::min(kPanel, r.columns - first)), factor.view(),
                          out.scales, bits);
    results[static_cast<std::size_t>(panel)] = feedback.Run(out, first);
  });
  for (const absl::Status& result : results) CALDERA_RETURN_IF_ERROR(result);
  context.flops +=
      static_cast<double>(r.rows) * static_cast<double>(r.rows) * static_cast<double>(r.columns);
  return out;
}

}  // namespace caldera::decompose
