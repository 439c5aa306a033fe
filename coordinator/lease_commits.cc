// The part of LeaseDesk that makes results durable.
#include <algorithm>
#include <set>
#include <utility>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "coordinator/allocation.h"
#include "coordinator/job_graph.h"
#include "coordinator/lease_desk.h"

namespace caldera::coordinator {
namespace {

bool IsHessianKind(const std::string& name) {
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    if (model::HessianKindName(static_cast<model::HessianKind>(k)) == name) return true;
  }
  return false;
}

absl::Status CheckHessian(const v1::HessianRef& hessian, const LeaseView& view) {
  const bool valid = hessian.range() == view.task.index && hessian.layer() >= 0 &&
                     hessian.layer() < view.job.job.model().layers() &&
                     IsHessianKind(hessian.kind());
  if (valid) return absl::OkStatus();
  return base::InvalidArgument("Hessian {} of layer {} range {} is not of task {}", hessian.kind(),
                               hessian.layer(), hessian.range(), view.task.id);
}

// Gives every compress task the bits of its matrices when the last probe is done.
void Allot(JobEdit* edit) {
  const JobState& job = edit->job();
  const std::optional<std::vector<v1::MatrixProbe>> probes = AllProbes(job);
  if (!probes.has_value()) return;
  const auto budget = static_cast<std::uint64_t>(job.record.job.matrix_budget_bytes());
  const std::vector<double> q_bits =
      AllotBits(job.record.job.spec().decomposition(), budget, *probes);
  const auto [least, most] = std::minmax_element(q_bits.begin(), q_bits.end());
  const std::vector<TaskRecord> tasks = job.tasks;
  for (TaskRecord task : tasks) {
    if (task.kind != TaskKind::kCompress) continue;
    const auto first = q_bits.begin() + task.index * model::kProjectionCount;
    task.q_bits.assign(first, first + model::kProjectionCount);
    edit->PutTask(task);
  }
  edit->Emit({.type = "bits.allotted",
              .message = fmt::format("{:.4g} to {:.4g} bits for each of {} matrices", *least, *most,
                                     q_bits.size())});
}

absl::Status CheckComplete(const JobState& job, const TaskRecord& task,
                           const v1::CompleteLeaseRequest& request, const v1::ObjectRef& shard) {
  if (task.kind == TaskKind::kCalibrate) {
    const auto committed = std::count_if(
        job.hessians.begin(), job.hessians.end(),
        [&task](const auto& entry) { return std::get<1>(entry.first) == task.index; });
    const int expected = job.record.job.model().layers() * model::kHessianKindCount;
    if (committed == expected) return absl::OkStatus();
    return base::FailedPrecondition("{}: {} of {} Hessians are committed", task.id, committed,
                                    expected);
  }
  if (task.kind == TaskKind::kProbe) {
    const LayerSpan layers = ProbeLayers(job, task);
    const std::vector<v1::MatrixProbe> probes(request.probes().begin(), request.probes().end());
    return base::WithContext(CheckProbes(layers.first, layers.last, probes), task.id);
  }
  if (shard.sha256().empty()) return base::FailedPrecondition("{}: no shard", task.id);
  return absl::OkStatus();
}

std::string LayerSummary(const JobState& job, const TaskRecord& task) {
  double error = 0;
  const v1::Layer layer = DescribeLayer(job, task.index);
  for (const v1::MatrixResult& matrix : layer.matrices()) {
    error += matrix.relative_error() / model::kProjectionCount;
  }
  return fmt::format("{}: mean relative error {:.4f}", task.id, error);
}

}  // namespace

absl::StatusOr<v1::CommitMatrixResponse> LeaseDesk::CommitMatrix(
    const v1::CommitMatrixRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, Find(FenceOf(request)));
  CALDERA_ASSIGN_OR_RETURN(const int projection, ProjectionIndex(request.matrix().projection()));
  if (view.task.kind != TaskKind::kCompress) {
    return base::InvalidArgument("task {} commits no matrices", view.task.id);
  }
  const JobState& job = core_->state().jobs.at(view.task.job.value());
  const MatrixKey key{view.task.index, projection};
  v1::CommitMatrixResponse response;
  response.set_already_committed(job.matrices.count(key) > 0);
  if (response.already_committed()) return response;
  const TaskRecord renewed = Renew(NoteProgressMade(view.task, core_->Now()), view.task.progress,
                                   core_->policy(), core_->Now());
  JobEdit edit = core_->Edit(job);
  edit.PutTask(renewed, view.task.fence);
  v1::MatrixResult matrix = request.matrix();
  matrix.set_q_bits(QBitsOf(view.job.job.spec(), view.task, projection));
  edit.AddMatrix(key, {matrix, view.task.fence.attempt, view.task.worker});
  edit.Emit(
      {.type = "matrix.committed",
       .message = fmt::format("layer {} {}: relative error {:.4f}", key.first,
                              request.matrix().projection(), request.matrix().relative_error()),
       .layer = key.first,
       .matrix = matrix});
  CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  core_->observer().MatrixCommitted(request.matrix().projection(),
                                    request.matrix().relative_error());
  return response;
}

absl::Status LeaseDesk::CommitHessians(const v1::CommitHessiansRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, Find(FenceOf(request)));
  if (view.task.kind != TaskKind::kCalibrate) {
    return base::InvalidArgument("task {} commits no Hessians", view.task.id);
  }
  const JobState& job = core_->state().jobs.at(view.task.job.value());
  JobEdit edit = core_->Edit(job);
  std::set<int> layers;
  for (const v1::HessianRef& hessian : request.hessians()) {
    CALDERA_RETURN_IF_ERROR(CheckHessian(hessian, view));
    // The first commit stands, as with matrices: a repeated attempt computes the same.
    const HessianKey key{hessian.layer(), hessian.range(), hessian.kind()};
    if (edit.job().hessians.count(key) > 0) continue;
    edit.AddHessian(hessian);
    layers.insert(hessian.layer());
  }
  if (layers.empty()) return absl::OkStatus();
  edit.PutTask(Renew(NoteProgressMade(view.task, core_->Now()), view.task.progress, core_->policy(),
                     core_->Now()),
               view.task.fence);
  for (const int layer : layers) {
    edit.Emit({.type = "hessians.committed",
               .message = fmt::format("layer {} range {}: {} tokens", layer, view.task.index,
                                      request.tokens()),
               .layer = layer});
  }
  return core_->Apply(std::move(edit));
}

absl::Status LeaseDesk::Complete(const v1::CompleteLeaseRequest& request,
                                 const v1::ObjectRef& shard) {
  CALDERA_ASSIGN_OR_RETURN(const LeaseView view, Find(FenceOf(request)));
  if (view.task.state == TaskState::kDone) return absl::OkStatus();
  const JobState& job = core_->state().jobs.at(view.task.job.value());
  CALDERA_RETURN_IF_ERROR(CheckComplete(job, view.task, request, shard));
  TaskRecord done = coordinator::Complete(view.task, core_->Now());
  done.shard = shard;
  if (request.seconds() > 0) done.seconds = request.seconds();
  done.rank_flops.assign(request.rank_flops().begin(), request.rank_flops().end());
  done.probes.assign(request.probes().begin(), request.probes().end());
  JobEdit edit = core_->Edit(job);
  edit.PutTask(done, view.task.fence);
  const bool layer = done.kind == TaskKind::kCompress;
  edit.Emit({.type = layer ? "layer.completed" : "task.completed",
             .message = layer ? LayerSummary(job, done) : done.id,
             .layer = layer ? done.index : -1});
  if (view.task.rival.has_value()) {
    edit.Emit({.type = "lease.ended",
               .message = fmt::format("{} attempt {} of {}: attempt {} was first", done.id,
                                      view.task.rival->fence.attempt,
                                      view.task.rival->worker.value(), done.fence.attempt),
               .layer = layer ? done.index : -1});
  }
  if (done.kind == TaskKind::kProbe) Allot(&edit);
  if (AllTasksDone(edit.job())) {
    edit.Emit({.type = "job.publishing", .message = "all tasks are done"});
  }
  CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  core_->observer().AttemptEnded(done.kind, "completed");
  if (view.task.rival.has_value()) core_->observer().AttemptEnded(done.kind, "released");
  core_->observer().TaskCompleted(done.kind, done.seconds);
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
