#include "numerics/decompose/context.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"

namespace caldera::decompose {
namespace {

constexpr std::int64_t kSharedTile = 128;

double ProductFlops(const linalg::OperandF& a, const linalg::OperandF& b) {
  return 2.0 * static_cast<double>(a.rows()) * static_cast<double>(a.columns()) *
         static_cast<double>(b.columns());
}

// linalg::GemmByRows, block by block until the step is left.
void GemmUnlessLeft(const linalg::OperandF& a, const linalg::OperandF& b, const RowBlocks& blocks,
                    linalg::ViewF c) {
  ForEachRowBlock(a.rows(), blocks, [&](std::int64_t first, std::int64_t rows) {
    if (!blocks.Left()) linalg::Gemm(a.Rows(first, rows), b, c.Rows(first, rows));
  });
}

}  // namespace

linalg::MatrixF LocalProduct(Context& context, linalg::OperandF a, linalg::OperandF b) {
  linalg::MatrixF product(a.rows(), b.columns());
  GemmUnlessLeft(a, b, context.blocks(), product.view());
  context.flops += ProductFlops(a, b);
  return product;
}

linalg::MatrixF SharedProduct(Context& context, linalg::OperandF a, linalg::OperandF b) {
  const dist::RowPartition shares(a.rows(), kSharedTile, context.communicator.size());
  const int rank = context.communicator.rank();
  linalg::MatrixF share(shares.RowCount(rank), b.columns());
  const linalg::OperandF rows = a.Rows(shares.FirstRow(rank), share.rows());
  GemmUnlessLeft(rows, b, {kSharedTile, context.interrupt}, share.view());
  context.flops += ProductFlops(rows, b);
  const std::size_t count = static_cast<std::size_t>(share.rows() * share.columns());
  const std::vector<std::byte> gathered =
      context.communicator.AllGather(std::as_bytes(std::span(share.data(), count)));
  linalg::MatrixF product(a.rows(), b.columns());
  if (!gathered.empty()) std::memcpy(product.data(), gathered.data(), gathered.size());
  return product;
}

linalg::MatrixF Narrow(const linalg::MatrixD& wide) {
  linalg::MatrixF narrow(wide.rows(), wide.columns());
  linalg::Copy(wide.view(), narrow.view());
  return narrow;
}

linalg::MatrixD Widen(linalg::ConstViewF narrow) {
  linalg::MatrixD wide(narrow.rows, narrow.columns);
  linalg::Copy(narrow, wide.view());
  return wide;
}

float UnitOf(double largest) {
  constexpr int kLimit = 100;
  if (largest == 0) return 1;
  return std::ldexp(1.0F, std::clamp(std::ilogb(largest), -kLimit, kLimit));
}

absl::Status AgreeWithRoot(const absl::Status& own, dist::Communicator& communicator) {
  std::vector<std::byte> message;  // the code, then the text; nothing for OK
  if (!own.ok()) {
    const std::string text = base::MessageOf(own);
    message.push_back(static_cast<std::byte>(own.code()));
    const auto bytes = std::as_bytes(std::span(text));
    message.insert(message.end(), bytes.begin(), bytes.end());
  }
  communicator.BroadcastWhenReady(message, 0);
  double failed = own.ok() ? 0 : 1;
  communicator.AllReduceMax(std::span(&failed, 1));
  if (!message.empty()) {
    const std::string text(reinterpret_cast<const char*>(message.data()) + 1, message.size() - 1);
    return absl::Status(static_cast<absl::StatusCode>(message.front()), text);
  }
  return failed > 0 ? base::FailedPrecondition("another rank could not do its part")
                    : absl::OkStatus();
}

linalg::MatrixF Difference(linalg::ConstViewF a, linalg::ConstViewF b) {
  linalg::MatrixF difference(a.rows, a.columns);
  kernels::ParallelFor(a.rows, [&](std::int64_t i) {
    for (std::int64_t j = 0; j < a.columns; ++j) difference.row(i)[j] = a.row(i)[j] - b.row(i)[j];
  });
  return difference;
}

double RootMeanSquare(linalg::ConstViewF a) {
  if (a.empty()) return 0;
  double sum = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) {
      const auto value = static_cast<double>(a.row(i)[j]);
      sum += value * value;
    }
  }
  return std::sqrt(sum / (static_cast<double>(a.rows) * static_cast<double>(a.columns)));
}

}  // namespace caldera::decompose
