#include "worker/compress_job.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/model/compressed_matrix_io.h"
#include "numerics/decompose/decompose.h"
#include "numerics/dist/shared_matrix.h"
#include "worker/hessian_object.h"
#include "worker/rank_group.h"

namespace caldera::worker {
namespace {

// Rows that rank 0 reads and hands out at a time, in bytes of float32.
constexpr std::int64_t kReadBytes = std::int64_t{64} << 20;

struct Unit {
  int layer = 0;
  model::Projection projection = model::Projection::kQ;
  model::MatrixShape shape;

  std::string path() const { return model::ProjectionPath(projection); }
  std::string weight() const { return model::WeightName(layer, projection); }
};

// Load: the mean Hessian of one kind for every rank. Rank 0 reads the partials in range order.
absl::StatusOr<dist::SharedMatrix> LoadHessian(TaskContext& context, const std::string& kind) {
  absl::StatusOr<linalg::MatrixF> mean = linalg::MatrixF();
  if (context.leader != nullptr) {
    mean = [&]() -> absl::StatusOr<linalg::MatrixF> {
      std::vector<const v1::HessianRef*> refs;
      for (const auto& ref : context.lease.task().compress().hessians()) {
        if (ref.kind() == kind) refs.push_back(&ref);
      }
      std::sort(refs.begin(), refs.end(),
                [](const auto* a, const auto* b) { return a->range() < b->range(); });
      std::vector<decompose::HessianSum> partials;
      for (const auto* ref : refs) {
        CALDERA_ASSIGN_OR_RETURN(auto bytes, context.leader->objects.Read(ref->object()));
        const std::string name = fmt::format("Hessian {} of range {}", kind, ref->range());
        CALDERA_ASSIGN_OR_RETURN(auto partial, DecodeHessian(std::move(bytes), name));
        partials.push_back(std::move(partial));
      }
      return decompose::MeanHessian(partials);
    }();
  }
  CALDERA_RETURN_IF_ERROR(AgreeOnStatus(mean.status(), context.ranks));
  return dist::SharedMatrix::FromRoot(*mean, context.ranks);
}

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
  return mine;
}

absl::StatusOr<decompose::DecomposeOptions> OptionsOf(TaskContext& context, const Unit& unit) {
  const v1::Decomposition& spec = context.lease.spec().decomposition();
  decompose::DecomposeOptions options;
  CALDERA_ASSIGN_OR_RETURN(options.recipe, model::ParseRecipe(spec.recipe()));
  CALDERA_ASSIGN_OR_RETURN(options.codebook, model::ParseCodebook(spec.codebook()));
  options.q_bits = spec.q_bits();
  options.rank = spec.rank();
  options.l_bits = base::Bits(spec.l_bits());
  options.r_bits = base::Bits(spec.r_bits());
  options.iterations = spec.iterations();
  options.output_seed = SeedFor(spec.seed(), unit.weight());
  options.stop = StopFunction(context);
  return options;
}

// Flops of every rank, on every rank.
std::vector<double> GatherFlops(double mine, dist::Communicator& ranks) {
  std::vector<double> all(static_cast<std::size_t>(ranks.size()), 0.0);
  all[static_cast<std::size_t>(ranks.rank())] = mine;
  ranks.AllReduceSum(all);
  return all;
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

absl::Status CompressOne(TaskContext& context, const Unit& unit,
                         const decompose::PreparedHessian& hessian) {
  const absl::Time started = absl::Now();
  if (context.leader != nullptr) {
    context.leader->keeper.SetStatus(fmt::format("layer {} {}", unit.layer, unit.path()));
  }
  const dist::RowPartition partition(unit.shape.rows, decompose::RowBlock(unit.shape.rows),
                                     context.ranks.size(), static_cast<int>(unit.projection));
  CALDERA_ASSIGN_OR_RETURN(const auto rows, LoadRows(context, unit, partition));
  CALDERA_ASSIGN_OR_RETURN(const decompose::DecomposeOptions options, OptionsOf(context, unit));
  auto result = decompose::Decompose(rows.view(), partition, hessian, options, context.ranks);
  if (!result.ok()) return base::WithContext(result.status(), unit.weight());
  const std::vector<double> flops = GatherFlops(result->local_flops, context.ranks);
  for (std::size_t rank = 0; rank < flops.size(); ++rank) context.rank_flops[rank] += flops[rank];
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
std::vector<Unit> UnitsOf(const TaskContext& context, const model::ModelConfig& config,
                          model::HessianKind kind) {
  const v1::CompressTask& task = context.lease.task().compress();
  std::vector<Unit> units;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const auto projection = static_cast<model::Projection>(p);
    const Unit unit{task.layer(), projection, model::ShapeOf(config, projection)};
    const auto& done = task.committed();
    if (model::HessianOf(projection) == kind &&
        std::find(done.begin(), done.end(), unit.path()) == done.end()) {
      units.push_back(unit);
    }
  }
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
  context.rank_flops.assign(static_cast<std::size_t>(context.ranks.size()), 0.0);
  const v1::CompressTask& task = context.lease.task().compress();
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const auto kind = static_cast<model::HessianKind>(k);
    const std::vector<Unit> units = UnitsOf(context, config, kind);
    if (units.empty()) continue;
    const std::string name = model::HessianKindName(kind);
    CALDERA_ASSIGN_OR_RETURN(auto hessian, LoadHessian(context, name));
    const std::uint64_t seed = SeedFor(context.lease.spec().decomposition().seed(),
                                       fmt::format("layer {} {}", task.layer(), name));
    auto prepared = decompose::PrepareHessian(std::move(hessian), seed, context.ranks);
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
