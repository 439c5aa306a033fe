#include "coordinator/records.h"

#include <algorithm>

namespace caldera::coordinator {

std::string TaskKindName(TaskKind kind) {
  switch (kind) {
    case TaskKind::kCalibrate:
      return "calibrate";
    case TaskKind::kCompress:
      return "compress";
    case TaskKind::kEmbeddings:
      return "embeddings";
    case TaskKind::kProbe:
      return "probe";
  }
  return "unknown";
}

const TaskRecord* FindTask(const JobState& job, const std::string& task_id) {
  for (const TaskRecord& task : job.tasks) {
    if (task.id == task_id) return &task;
  }
  return nullptr;
}

TaskRecord* FindTask(JobState* job, const std::string& task_id) {
  const auto found =
      std::find_if(job->tasks.begin(), job->tasks.end(),
                   [&task_id](const TaskRecord& task) { return task.id == task_id; });
  return found == job->tasks.end() ? nullptr : &*found;
}

HessianKey KeyOf(const v1::HessianRef& hessian) {
  return {hessian.layer(), hessian.range(), hessian.kind()};
}

}  // namespace caldera::coordinator
