#include "numerics/dist/tall_matrix.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "numerics/dist/exact_sum.h"
#include "numerics/kernels/parallel.h"
#include "numerics/kernels/transformer.h"
#include "numerics/linalg/factor.h"
#include "numerics/linalg/parallel_blas.h"

namespace caldera::dist {
namespace {

using linalg::ConstViewD;
using linalg::ConstViewF;
using linalg::MatrixD;
using linalg::MatrixF;
using linalg::ViewD;

// Columns of a panel whose sums one task owns; small enough for r x panel doubles to stay in the
// cache.
constexpr std::int64_t kPanel = 256;
// Rounding inside a block's product can exceed the product of the bounds by far less than this.
constexpr double kSlack = 1.01;

// Rows of this rank's block `index`, counted among its own.
struct BlockRows {
  std::int64_t first;
  std::int64_t count;
};

BlockRows LocalBlock(const RowPartition& partition, std::int64_t local_rows, std::int64_t index) {
  const std::int64_t first = index * partition.block_rows();
  return {first, std::min(partition.block_rows(), local_rows - first)};
}

double LocalMaxAbs(ConstViewF a) {
  std::vector<double> largest(static_cast<std::size_t>(a.rows), 0.0);
  kernels::ParallelFor(a.rows, [&](std::int64_t i) {
    largest[static_cast<std::size_t>(i)] =
        static_cast<double>(kernels::MaxAbs(a.row(i), static_cast<std::size_t>(a.columns)));
  });
  return largest.empty() ? 0.0 : *std::max_element(largest.begin(), largest.end());
}

// sum += part rounded to the grid, row by row: both may be windows.
template <typename T>
void AddPart(const ExactGrid& grid, linalg::MatrixView<const T> part, ViewD sum) {
  const auto columns = static_cast<std::size_t>(sum.columns);
  for (std::int64_t i = 0; i < sum.rows; ++i) {
    AddExactly(grid, std::span<const T>(part.row(i), columns), std::span(sum.row(i), columns));
  }
}

std::span<double> Values(MatrixD& matrix) {
  return {matrix.data(), static_cast<std::size_t>(matrix.rows() * matrix.columns())};
}

// Columns of one panel of L^T A over this rank's blocks.
void AddPanel(const ExactGrid& grid, ConstViewF l, ConstViewF a_panel,
              const RowPartition& partition, ViewD sum) {
  MatrixF part(sum.rows, sum.columns);
  const std::int64_t blocks = (l.rows + partition.block_rows() - 1) / partition.block_rows();
  for (std::int64_t k = 0; k < blocks; ++k) {
    const BlockRows rows = LocalBlock(partition, l.rows, k);
    linalg::Gemm(linalg::Transposed(l.Rows(rows.first, rows.count)),
                 a_panel.Rows(rows.first, rows.count), part.view());
    AddPart<float>(grid, part.view(), sum);
  }
}

// One tile of L^T L over this rank's blocks, from L in float64.
void AddGramTile(const ExactGrid& grid, ConstViewD rows, ConstViewD columns,
                 const RowPartition& partition, ViewD sum) {
  MatrixD part(sum.rows, sum.columns);
  const std::int64_t blocks = (rows.rows + partition.block_rows() - 1) / partition.block_rows();
  for (std::int64_t k = 0; k < blocks; ++k) {
    const BlockRows block = LocalBlock(partition, rows.rows, k);
    linalg::Gemm(linalg::Transposed(rows.Rows(block.first, block.count)),
                 columns.Rows(block.first, block.count), part.view());
    AddPart<double>(grid, part.view(), sum);
  }
}

// Tiles (i, j) with i >= j of an r x r matrix, row by row.
std::vector<std::pair<std::int64_t, std::int64_t>> LowerTiles(std::int64_t size,
                                                              std::int64_t tile) {
  std::vector<std::pair<std::int64_t, std::int64_t>> tiles;
  for (std::int64_t i = 0; i < size; i += tile) {
    for (std::int64_t j = 0; j <= i; j += tile) tiles.emplace_back(i, j);
  }
  return tiles;
}

// L^T L in float64 for values known to be at most `largest`.
MatrixD GramOf(ConstViewD l, double largest, const RowPartition& partition,
               Communicator& communicator) {
  constexpr std::int64_t kTile = 64;
  const double bound = kSlack * static_cast<double>(partition.block_rows()) * largest * largest;
  const ExactGrid grid(bound, std::max<std::int64_t>(partition.blocks(), 1));
  MatrixD gram(l.columns, l.columns);
  const auto tiles = LowerTiles(l.columns, kTile);
  kernels::ParallelFor(static_cast<std::int64_t>(tiles.size()), [&](std::int64_t k) {
    const auto [i, j] = tiles[static_cast<std::size_t>(k)];
    const std::int64_t height = std::min(kTile, l.columns - i);
    const std::int64_t width = std::min(kTile, l.columns - j);
    AddGramTile(grid, l.Columns(i, height), l.Columns(j, width), partition,
                gram.view().Block(i, j, height, width));
  });
  communicator.AllReduceSum(Values(gram));
  linalg::MirrorLower(gram.view());
  return gram;
}

double LargestOverRanks(double local, Communicator& communicator) {
  communicator.AllReduceMax(std::span(&local, 1));
  return local;
}

double LocalMaxAbs(ConstViewD a) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j)
      largest = std::max(largest, std::fabs(a.row(i)[j]));
  }
  return largest;
}

// C with S + ridge tr S = C C^T for the first ridge that works. The rounding of a Gram matrix is a
// small multiple of 1e-16 of its trace, and far more where a few rows hold all of it: the grid of
// the exact sums allows every row to be as large as the largest.
absl::StatusOr<MatrixD> RidgedFactor(const MatrixD& gram, double trace) {
  absl::Status status;
  for (double ridge = 1e-14; ridge < 2e-6; ridge *= 10) {
    MatrixD factor = gram;
    for (std::int64_t i = 0; i < gram.rows(); ++i) factor(i, i) += ridge * trace;
    status = linalg::CholeskyLower(factor.view());
    if (status.ok()) return factor;
  }
  return status;
}

// L <- L C^-T with L^T L + ridge = C C^T. The Gram matrix, hence the outcome, is the same on every
// rank.
absl::Status CholeskyQr(ViewD l, const RowPartition& partition, Communicator& communicator) {
  const double largest = LargestOverRanks(LocalMaxAbs(ConstViewD(l)), communicator);
  const MatrixD gram = GramOf(l, largest, partition, communicator);
  double trace = 0;
  for (std::int64_t i = 0; i < gram.rows(); ++i) trace += gram(i, i);
  if (trace == 0) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const MatrixD factor, RidgedFactor(gram, trace));
  linalg::SolveRightByRows(linalg::Transposed(factor.view()), l, partition.block_rows());
  return absl::OkStatus();
}

// 1 on every rank when a value of any rank is not finite.
bool AnyNotFinite(ConstViewF l, Communicator& communicator) {
  double bad = 0;
  for (std::int64_t i = 0; i < l.rows; ++i) {
    if (!kernels::IsFinite(l.row(i), static_cast<std::size_t>(l.columns))) bad = 1;
  }
  return LargestOverRanks(bad, communicator) != 0;
}

}  // namespace

MatrixD TransposeTimes(ConstViewF l, ConstViewF a, const RowPartition& partition,
                       Communicator& communicator) {
  assert(l.rows == a.rows && l.rows == partition.RowCount(communicator.rank()));
  double largest[2] = {LocalMaxAbs(l), LocalMaxAbs(a)};
  communicator.AllReduceMax(largest);
  const double bound =
      kSlack * static_cast<double>(partition.block_rows()) * largest[0] * largest[1];
  const ExactGrid grid(bound, std::max<std::int64_t>(partition.blocks(), 1));
  MatrixD product(l.columns, a.columns);
  kernels::ParallelFor((a.columns + kPanel - 1) / kPanel, [&](std::int64_t k) {
    const std::int64_t first = k * kPanel;
    const std::int64_t width = std::min(kPanel, a.columns - first);
    AddPanel(grid, l, a.Columns(first, width), partition, product.view().Columns(first, width));
  });
  communicator.AllReduceSum(Values(product));
  return product;
}

MatrixD Gram(ConstViewF l, const RowPartition& partition, Communicator& communicator) {
  assert(l.rows == partition.RowCount(communicator.rank()));
  const double largest = MaxAbs(l, communicator);
  MatrixD wide(l.rows, l.columns);
  linalg::Copy(l, wide.view());
  return GramOf(wide.view(), largest, partition, communicator);
}

absl::Status OrthonormalizeColumns(linalg::ViewF l, const RowPartition& partition,
                                   Communicator& communicator) {
  assert(partition.rows() >= l.columns);
  if (AnyNotFinite(l, communicator)) {
    return base::FailedPrecondition("columns to orthonormalise are not finite");
  }
  MatrixD wide(l.rows, l.columns);
  linalg::Copy(ConstViewF(l), wide.view());
  CALDERA_RETURN_IF_ERROR(CholeskyQr(wide.view(), partition, communicator));
  CALDERA_RETURN_IF_ERROR(CholeskyQr(wide.view(), partition, communicator));
  linalg::Copy(ConstViewD(wide.view()), l);
  return absl::OkStatus();
}

double OrderedSum(std::span<const double> local, const RowPartition& partition,
                  Communicator& communicator) {
  const int rank = communicator.rank();
  assert(static_cast<std::int64_t>(local.size()) == partition.BlockCount(rank));
  std::vector<double> all(static_cast<std::size_t>(partition.blocks()), 0.0);
  std::copy(local.begin(), local.end(), all.begin() + partition.FirstBlock(rank));
  communicator.AllReduceSum(all);
  double sum = 0;
  for (const double value : all) sum += value;
  return sum;
}

double Dot(ConstViewF a, ConstViewF b, const RowPartition& partition, Communicator& communicator) {
  assert(a.rows == partition.RowCount(communicator.rank()));
  std::vector<double> sums(static_cast<std::size_t>(partition.BlockCount(communicator.rank())));
  kernels::ParallelFor(static_cast<std::int64_t>(sums.size()), [&](std::int64_t k) {
    const BlockRows rows = LocalBlock(partition, a.rows, k);
    sums[static_cast<std::size_t>(k)] =
        linalg::Dot(a.Rows(rows.first, rows.count), b.Rows(rows.first, rows.count));
  });
  return OrderedSum(sums, partition, communicator);
}

double MaxAbs(ConstViewF a, Communicator& communicator) {
  return LargestOverRanks(LocalMaxAbs(a), communicator);
}

}  // namespace caldera::dist
