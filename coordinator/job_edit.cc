#include "coordinator/job_edit.h"

#include <utility>

#include "common/base/status.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/job_graph.h"
#include "coordinator/leases.h"

namespace caldera::coordinator {

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const std::int64_t micros = absl::ToUnixMicros(time);
  timestamp->set_seconds(micros / 1'000'000);
  timestamp->set_nanos(static_cast<int>(micros % 1'000'000 * 1000));
}

JobEdit::JobEdit(JobEdit&& other) noexcept
    : transition_(std::move(other.transition_)),
      job_(std::exchange(other.job_, nullptr)),
      now_(other.now_),
      old_record_(std::move(other.old_record_)),
      old_tasks_(std::move(other.old_tasks_)),
      old_matrices_(std::move(other.old_matrices_)),
      old_hessians_(std::move(other.old_hessians_)) {}

JobRecord& JobEdit::Record() {
  if (!old_record_.has_value()) old_record_ = job_->record;
  return job_->record;
}

void JobEdit::Undo() {
  if (job_ == nullptr) return;
  for (auto old = old_tasks_.rbegin(); old != old_tasks_.rend(); ++old) {
    *FindTask(job_, old->id) = std::move(*old);
  }
  if (old_matrices_.has_value()) job_->matrices = *std::move(old_matrices_);
  if (old_hessians_.has_value()) job_->hessians = *std::move(old_hessians_);
  for (const HessianChange& change : transition_.hessians) {
    job_->hessians.erase(KeyOf(change.hessian));
  }
  for (const MatrixChange& change : transition_.matrices) job_->matrices.erase(change.key);
  if (old_record_.has_value()) job_->record = *std::move(old_record_);
  job_ = nullptr;
}

void JobEdit::PutTask(const TaskRecord& task, const std::optional<Fence>& fence) {
  transition_.tasks.push_back({task, fence});
  TaskRecord* existing = FindTask(job_, task.id);
  if (existing == nullptr) return;
  old_tasks_.push_back(std::exchange(*existing, transition_.tasks.back().task));
}

void JobEdit::AddMatrix(const MatrixKey& key, const MatrixRecord& matrix) {
  job_->matrices[key] = matrix;
  transition_.matrices.push_back({job_->record.id, key, matrix});
}

void JobEdit::AddHessian(const v1::HessianRef& hessian) {
  job_->hessians[KeyOf(hessian)] = hessian;
  transition_.hessians.push_back({job_->record.id, hessian});
}

void JobEdit::SetState(v1::State state) {
  v1::CompressionJob& job = Record().job;
  job.set_state(state);
  if (state == v1::RUNNING) SetTimestamp(now_, job.mutable_start_time());
  if (HasEnded(state)) SetTimestamp(now_, job.mutable_end_time());
}

void JobEdit::SetError(const absl::Status& error) {
  *Record().job.mutable_error() = rpc::ToProto(error);
}

void JobEdit::SetResult(const v1::JobResult& result) { *Record().job.mutable_result() = result; }

void JobEdit::ReleaseTasks() {
  const std::vector<TaskRecord> tasks = job_->tasks;
  for (const TaskRecord& task : tasks) {
    const bool held = task.state == TaskState::kLeased || task.state == TaskState::kLapsed;
    if (held) PutTask(ReleaseAll(task));
  }
}

void JobEdit::Fail(const absl::Status& error) {
  ReleaseTasks();
  SetState(v1::FAILED);
  SetError(error);
  Emit({.type = "job.failed", .message = base::MessageOf(error)});
}

void JobEdit::ForgetHessians() {
  old_hessians_ = std::exchange(job_->hessians, {});
  transition_.forgotten_hessians.push_back(job_->record.id);
}

void JobEdit::LoseMatrix(const MatrixKey& key) {
  if (!old_matrices_.has_value()) old_matrices_ = job_->matrices;
  job_->matrices.erase(key);
  transition_.lost_matrices.push_back({job_->record.id, key});
}

void JobEdit::LoseHessian(const HessianKey& key) {
  if (!old_hessians_.has_value()) old_hessians_ = job_->hessians;
  job_->hessians.erase(key);
  transition_.lost_hessians.push_back({job_->record.id, key});
}

void JobEdit::RedoTask(const std::string& id) {
  TaskRecord task = Release(*FindTask(*job_, id));
  task.shard.Clear();
  PutTask(task);
}

void JobEdit::Reopen() {
  v1::CompressionJob& job = Record().job;
  job.clear_error();
  job.clear_end_time();
  job.set_state(job.has_start_time() ? v1::RUNNING : v1::PENDING);
  const std::vector<TaskRecord> tasks = job_->tasks;
  for (const TaskRecord& task : tasks) {
    if (task.state != TaskState::kDone) PutTask(NoteProgressMade(ReleaseAll(task), now_));
  }
}

void JobEdit::Emit(const EventText& text) {
  v1::JobEvent event;
  event.set_sequence(++Record().last_sequence);
  SetTimestamp(now_, event.mutable_time());
  event.set_type(text.type);
  event.set_message(text.message);
  event.set_layer(text.layer);
  if (text.matrix.has_value()) *event.mutable_matrix() = *text.matrix;
  *event.mutable_job() = DescribeJob(*job_, now_);
  transition_.events.push_back({job_->record.id, std::move(event)});
}

Transition JobEdit::Take() {
  transition_.jobs.push_back(job_->record);
  Undo();
  return std::move(transition_);
}

}  // namespace caldera::coordinator
