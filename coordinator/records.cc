#include "coordinator/records.h"

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

}  // namespace caldera::coordinator
