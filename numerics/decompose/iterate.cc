#include "numerics/decompose/iterate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "common/base/status.h"
#include "numerics/decompose/lane_panel.h"
#include "numerics/decompose/q_words.h"
#include "numerics/dist/tall_matrix.h"
#include "numerics/kernels/parallel.h"
#include "numerics/lattice/factor_code.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::decompose {
namespace {

// Rows of `width` codes of one part into rows of `stride` codes, from `column` on.
void PlaceCodes(const std::vector<std::uint32_t>& codes, std::int64_t width,
                std::vector<std::uint32_t>& out, std::int64_t stride, std::int64_t column) {
  if (width == 0) return;
  const std::int64_t rows = static_cast<std::int64_t>(codes.size()) / width;
  if (out.empty()) out.resize(static_cast<std::size_t>(rows * stride));
  for (std::int64_t i = 0; i < rows; ++i) {
    std::copy_n(codes.data() + i * width, width, out.data() + i * stride + column);
  }
}

template <typename T>
void Append(const std::vector<T>& from, std::vector<T>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

// The codewords of the local rows times their scales.
linalg::MatrixF DecodeQ(Context& context, const CodedQ& q, const Objective::Decoding& decoding) {
  const std::int64_t columns = decoding.header.columns;
  linalg::MatrixF rows(context.local_rows(), columns);
  kernels::ParallelFor(static_cast<std::int64_t>(q.scales.size()), [&](std::int64_t group) {
    const std::int64_t first = group * model::kScaleRows;
    const std::int64_t present = std::min(model::kScaleRows, rows.rows() - first);
    linalg::MatrixF words(LanesOf(present), columns);
    DecodeWords({decoding.header, decoding.family, q.codes, q.column_bits}, {first, present},
                words.view());
    const float scale = q.scales[static_cast<std::size_t>(group)];
    for (std::int64_t i = 0; i < present; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        rows.row(first + i)[j] = scale * words.row(i)[j];
      }
    }
  });
  return rows;
}

absl::Status AddLowRank(Context& context, const Iterate& iterate,
                        const model::CompressedMatrixHeader& header, linalg::MatrixF& rows) {
  if (header.rank == 0) return absl::OkStatus();
  linalg::MatrixF l(rows.rows(), header.rank);
  linalg::MatrixF r(header.rank, header.columns);
  CALDERA_RETURN_IF_ERROR(
      lattice::DequantiseL(iterate.l.codes, header.l_bits, iterate.l.scales, l.view()));
  CALDERA_RETURN_IF_ERROR(
      lattice::DequantiseR(iterate.r.codes, header.r_bits, iterate.r.scales, r.view()));
  linalg::GemmByRows(l, r, rows.view(), linalg::kAddTo, context.block_rows());
  context.flops += 2.0 * static_cast<double>(rows.rows()) * static_cast<double>(rows.columns()) *
                   static_cast<double>(header.rank);
  return absl::OkStatus();
}

// The ranks' values one after another on rank 0, nothing elsewhere.
template <typename T>
std::vector<T> GatherOnRoot(Context& context, const std::vector<T>& local) {
  const std::vector<std::byte> bytes =
      context.communicator.Gather(std::as_bytes(std::span(local)), 0);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

Iterate MakeIterate(CodedQ q, const std::vector<const LowRank*>& parts,
                    const model::CompressedMatrixHeader& header) {
  Iterate iterate{std::move(q), {}, {}};
  std::int64_t column = 0;
  for (const LowRank* part : parts) {
    const std::int64_t width = LanesOf(part->rank());
    PlaceCodes(part->l.codes, width, iterate.l.codes, header.padded_rank(), column);
    column += width;
    Append(part->l.scales, iterate.l.scales);
    Append(part->r.codes, iterate.r.codes);
    Append(part->r.scales, iterate.r.scales);
  }
  return iterate;
}

Objective::Objective(Context& context, linalg::ConstViewF original, linalg::ConstViewF given)
    : context_(context), original_(original), given_(given) {
  reference_ = WeightedSquare(original);
}

// tr(X H X^T) over all rows; the rounding of a vanishing trace must not turn it negative.
double Objective::WeightedSquare(linalg::ConstViewF rows) {
  const linalg::MatrixF product = LocalProduct(context_, rows, given_);
  return std::max(0.0, dist::Dot(rows, product.view(), context_.partition, context_.communicator));
}

absl::StatusOr<double> Objective::RelativeError(const Iterate& iterate, const Decoding& decoding) {
  const StepTimer timer(context_.seconds, Step::kReportedError);
  CALDERA_ASSIGN_OR_RETURN(linalg::MatrixF rows, DecodeLocalRows(context_, iterate, decoding));
  rows = Difference(original_, std::as_const(rows).view());  // what was decoded is freed
  const double error = WeightedSquare(std::as_const(rows).view());
  if (reference_ > 0) return std::sqrt(error / reference_);
  if (error == 0) return 0.0;
  return base::InvalidArgument(
      "relative error: the weight is zero wherever the Hessian is not, its compression is not");
}

absl::StatusOr<linalg::MatrixF> DecodeLocalRows(Context& context, const Iterate& iterate,
                                                const Objective::Decoding& decoding) {
  linalg::MatrixF rows = DecodeQ(context, iterate.q, decoding);
  CALDERA_RETURN_IF_ERROR(AddLowRank(context, iterate, decoding.header, rows));
  RotateInputs(rows.view(), decoding.input, kernels::Direction::kInverse);
  RotateOutputs(rows.view(), decoding.output, context.first_row(), kernels::Direction::kInverse);
  return rows;
}

model::CompressedMatrix GatherMatrix(Context& context, const Iterate& iterate,
                                     const Objective::Decoding& decoding, float unit) {
  model::CompressedMatrix matrix;
  matrix.header = decoding.header;
  matrix.q_scale = GatherOnRoot(context, iterate.q.scales);
  matrix.q_codes = GatherOnRoot(context, iterate.q.codes);
  matrix.l_codes = GatherOnRoot(context, iterate.l.codes);
  if (context.communicator.rank() != 0) return {};
  matrix.q_column_bits = iterate.q.column_bits;
  matrix.header.q_columns_3 = std::ranges::count(matrix.q_column_bits, 3);
  matrix.header.q_columns_4 = std::ranges::count(matrix.q_column_bits, 4);
  for (float& scale : matrix.q_scale) scale *= unit;
  matrix.l_scale = iterate.l.scales;
  for (float& scale : matrix.l_scale) scale *= unit;
  matrix.r_codes = iterate.r.codes;
  matrix.r_scale = iterate.r.scales;
  matrix.sign_in = SignBits(decoding.input);
  matrix.sign_out = SignBits(decoding.output);
  return matrix;
}

}  // namespace caldera::decompose
