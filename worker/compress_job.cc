#include "worker/compress_job.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "numerics/decompose/decompose.h"
#include "worker/matrix_inputs.h"
#include "worker/rank_group.h"

namespace caldera::worker {
namespace {

// Rows that rank 0 reads and hands out at a time, in bytes of float32.
constexpr std::int64_t kReadBytes = std::int64_t{64} << 20;

// Load: this rank's rows. Rank 0 reads a piece at a time; everyone keeps what is theirs.
absl::StatusOr<linalg::MatrixF> LoadRows(TaskContext& context, const Unit& unit,
                                         const dist::RowPartition& partition) {
  const int rank = context.ranks.rank();
  const std::int64_t columns = unit.shape.columns;
  const std::int64_t mine_first = partition.FirstRow(rank);
  const std::int64_t mine_last = mine_first + partition.RowCount(rank);
  linalg::MatrixF mine(mine_last - mine_first, columns);
  const std::int64_t step = std::max<std::int64_t>(1, kReadBytes / 4 / columns);
  std::vector<float> piece;
  for (std::int64_t first = 0; first < unit.shape.rows; first += step) {
    const std::int64_t last = std::min(unit.shape.rows, first + step);
    piece.resize(static_cast<std::size_t>((last - first) * columns));
    absl::Status status;
    if (context.leader != nullptr) {
      status = context.leader->inputs.model().tensors->ReadRows(unit.weight(), first, last - first,
                                                                piece);
    }
    CALDERA_RETURN_IF_ERROR(AgreeOnStatus(status, context.ranks));
    context.ranks.Broadcast(std::as_writable_bytes(std::span(piece)), 0);
    const std::int64_t from = std::max(first, mine_first);
    const std::int64_t to = std::min(last, mine_last);
    if (from < to) {
      std::copy_n(piece.data() + (from - first) * columns, (to - from) * columns,
                  mine.row(from - mine_first));
    }
  }
  absl::Status unchanged;
  if (context.leader != nullptr) {
    unchanged =
        CheckUnchanged(context.leader->inputs, unit, context.lease.task().compress().hessians());
  }
  CALDERA_RETURN_IF_ERROR(AgreeOnStatus(unchanged, context.ranks));
  return mine;
}

v1::MatrixResult ToResult(const Unit& unit, const decompose::DecomposeResult& result) {
  v1::MatrixResult matrix;
  matrix.set_projection(unit.path());
  matrix.set_rows(unit.shape.rows);
  matrix.set_columns(unit.shape.columns);
  matrix.set_rank(static_cast<std::int32_t>(result.matrix.header.rank));
  matrix.set_bits_per_weight(model::BitsPerWeight(result.matrix.header));
  matrix.set_relative_error(result.relative_error);
  for (const double error : result.error_curve) matrix.add_error_curve(error);
  matrix.set_best_iteration(result.best_iteration);
  matrix.set_damping(result.damping);
  return matrix;
}

// Store: the matrix as an object, then its commit.
absl::Status CommitMatrix(TaskContext& context, const Unit& unit,
                          const decompose::DecomposeResult& result, v1::MatrixResult matrix) {
  const std::string prefix = fmt::format("model.layers.{}.{}", unit.layer, unit.path());
  CALDERA_ASSIGN_OR_RETURN(const auto bytes, model::EncodeMatrixObject(prefix, result.matrix));
  CALDERA_ASSIGN_OR_RETURN(*matrix.mutable_object(), context.leader->objects.Write(bytes));
  v1::CommitMatrixRequest request;
  request.set_lease_id(context.lease.lease_id());
  request.set_attempt(context.lease.attempt());
  *request.mutable_matrix() = std::move(matrix);
  CALDERA_RETURN_IF_ERROR(context.leader->client.CommitMatrix(request).status());
  context.leader->keeper.Advance();
  context.log.Info("{} relative error {:.4f}", unit.weight(), result.relative_error);
  return absl::OkStatus();
}

// Of the task, when the job allots bits to each matrix; else 0.
double QBitsOf(const TaskContext& context, const Unit& unit) {
  const auto& allotted = context.lease.task().compress().q_bits();
  return allotted.empty() ? 0 : allotted.Get(static_cast<int>(unit.projection));
}

absl::Status CompressOne(TaskContext& context, const Unit& unit,
                         const decompose::PreparedHessian& hessian) {
  const absl::Time started = absl::Now();
  if (context.leader != nullptr) {
    context.leader->keeper.SetStatus(fmt::format("layer {} {}", unit.layer, unit.path()));
  }
  const dist::RowPartition partition(unit.shape.rows, decompose::RowBlock(unit.shape.rows),
                                     context.ranks.size(), static_cast<int>(unit.projection));
  CALDERA_ASSIGN_OR_RETURN(const auto rows, LoadRows(context, unit, partition));
  CALDERA_ASSIGN_OR_RETURN(const decompose::DecomposeOptions options,
                           OptionsOf(context, unit, QBitsOf(context, unit)));
  auto result = decompose::Decompose(rows.view(), partition, hessian, options, context.ranks);
  if (!result.ok()) return base::WithContext(result.status(), unit.weight());
  const std::vector<double> flops = CountFlops(context, result->local_flops);
  absl::Status status;
  if (context.leader != nullptr) {
    v1::MatrixResult matrix = ToResult(unit, *result);
    for (const double share : flops) matrix.set_flops(matrix.flops() + share);
    matrix.set_seconds(absl::ToDoubleSeconds(absl::Now() - started));
    status = CommitMatrix(context, unit, *result, std::move(matrix));
  }
  return AgreeOnStatus(status, context.ranks);
}

// The layer's matrices that take this Hessian and are not committed yet, in projection order.
std::vector<Unit> Uncommitted(const TaskContext& context, std::vector<Unit> units) {
  const auto& done = context.lease.task().compress().committed();
  std::erase_if(units, [&done](const Unit& unit) {
    return std::find(done.begin(), done.end(), unit.path()) != done.end();
  });
  return units;
}

absl::Status CheckDrain(TaskContext& context) {
  CALDERA_RETURN_IF_ERROR(StopReason(context));
  const bool draining = context.leader != nullptr && context.leader->keeper.draining();
  const absl::Status mine =
      draining ? base::Cancelled("drained between two matrices") : absl::OkStatus();
  return AgreeOnStatus(mine, context.ranks);
}

}  // namespace

absl::Status RunCompress(TaskContext& context) {
  CALDERA_ASSIGN_OR_RETURN(const model::ModelConfig config, ShareConfig(context));
  const v1::CompressTask& task = context.lease.task().compress();
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const auto kind = static_cast<model::HessianKind>(k);
    const std::vector<Unit> units = Uncommitted(context, UnitsOf(config, task.layer(), kind));
    if (units.empty()) continue;
    const auto prepared = LoadHessian(context, task.hessians(), task.layer(), kind);
    if (!prepared.ok()) {
      return base::WithContext(prepared.status(), "Hessian of " + units.front().weight());
    }
    for (const Unit& unit : units) {
      CALDERA_RETURN_IF_ERROR(CheckDrain(context));
      CALDERA_RETURN_IF_ERROR(CompressOne(context, unit, *prepared));
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::worker
