#include "coordinator/job_edit.h"

#include <utility>

#include "common/rpc/status_conversion.h"
#include "coordinator/job_graph.h"
#include "coordinator/leases.h"

namespace caldera::coordinator {

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const std::int64_t micros = absl::ToUnixMicros(time);
  timestamp->set_seconds(micros / 1'000'000);
  timestamp->set_nanos(static_cast<int>(micros % 1'000'000 * 1000));
}

void JobEdit::PutTask(const TaskRecord& task, const std::optional<Fence>& fence) {
  for (TaskRecord& existing : job_.tasks) {
    if (existing.id == task.id) existing = task;
  }
  transition_.tasks.push_back({task, fence});
}

void JobEdit::AddMatrix(const MatrixKey& key, const MatrixRecord& matrix) {
  job_.matrices[key] = matrix;
  transition_.matrices.push_back({job_.record.id, key, matrix});
}

void JobEdit::AddHessian(const v1::HessianRef& hessian) {
  job_.hessians[{hessian.layer(), hessian.range(), hessian.kind()}] = hessian;
  transition_.hessians.push_back({job_.record.id, hessian});
}

void JobEdit::SetState(v1::State state) {
  v1::CompressionJob& job = job_.record.job;
  job.set_state(state);
  if (state == v1::RUNNING) SetTimestamp(now_, job.mutable_start_time());
  if (HasEnded(state)) SetTimestamp(now_, job.mutable_end_time());
}

void JobEdit::SetError(const absl::Status& error) {
  *job_.record.job.mutable_error() = rpc::ToProto(error);
}

void JobEdit::SetResult(const v1::JobResult& result) { *job_.record.job.mutable_result() = result; }

void JobEdit::ReleaseTasks() {
  const std::vector<TaskRecord> tasks = job_.tasks;
  for (const TaskRecord& task : tasks) {
    const bool held = task.state == TaskState::kLeased || task.state == TaskState::kLapsed;
    if (held) PutTask(Release(task));
  }
}

void JobEdit::ForgetHessians() {
  job_.hessians.clear();
  transition_.forgotten_hessians.push_back(job_.record.id);
}

void JobEdit::Reopen() {
  v1::CompressionJob& job = job_.record.job;
  job.clear_error();
  job.clear_end_time();
  job.set_state(job.has_start_time() ? v1::RUNNING : v1::PENDING);
  const std::vector<TaskRecord> tasks = job_.tasks;
  for (const TaskRecord& task : tasks) {
    if (task.state != TaskState::kDone) PutTask(NoteProgressMade(Release(task), now_));
  }
}

void JobEdit::Emit(const EventText& text) {
  v1::JobEvent event;
  event.set_sequence(++job_.record.last_sequence);
  SetTimestamp(now_, event.mutable_time());
  event.set_type(text.type);
  event.set_message(text.message);
  event.set_layer(text.layer);
  if (text.matrix.has_value()) *event.mutable_matrix() = *text.matrix;
  *event.mutable_job() = DescribeJob(job_, now_);
  transition_.events.push_back({job_.record.id, std::move(event)});
}

Transition JobEdit::Take() {
  transition_.jobs.push_back(job_.record);
  return std::move(transition_);
}

}  // namespace caldera::coordinator
