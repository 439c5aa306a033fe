#include "coordinator/job_files.h"

#include <algorithm>
#include <vector>

#include "common/base/status.h"
#include "common/store/open_files.h"
#include "coordinator/job_graph.h"
#include "coordinator/object_source.h"

namespace caldera::coordinator {
namespace {

bool BelongsTo(const JobState& job, const std::string& sha256) {
  const bool hessian = std::any_of(
      job.hessians.begin(), job.hessians.end(),
      [&sha256](const auto& entry) { return entry.second.object().sha256() == sha256; });
  const bool matrix = std::any_of(
      job.matrices.begin(), job.matrices.end(),
      [&sha256](const auto& entry) { return entry.second.result.object().sha256() == sha256; });
  return hessian || matrix ||
         std::any_of(job.tasks.begin(), job.tasks.end(),
                     [&sha256](const TaskRecord& task) { return task.shard.sha256() == sha256; });
}

absl::StatusOr<std::unique_ptr<model::FileSet>> OpenOutput(const JobState& job) {
  if (job.record.job.state() != v1::SUCCEEDED) {
    return base::PermissionDenied("job {} has not published its checkpoint",
                                  JobName(job.record.id));
  }
  return store::OpenFiles(job.record.job.spec().output_uri());
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenIn(const model::FileSet& files,
                                                          const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return base::PermissionDenied("\"{}\" is not a base name", name);
  }
  return files.Open(name);
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenModelFile(const JobState& job,
                                                                 const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const auto files, store::OpenFiles(job.record.job.spec().model_uri()));
  return OpenIn(*files, name);
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenOutputFile(const JobState& job,
                                                                  const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const auto files, OpenOutput(job));
  return OpenIn(*files, name);
}

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenJobObject(
    const JobState& job, const std::string& sha256, const store::CheckpointStore& store) {
  if (!BelongsTo(job, sha256)) {
    return base::PermissionDenied("object {} does not belong to job {}", sha256,
                                  JobName(job.record.id));
  }
  return OpenObject(&store, sha256);
}

}  // namespace

absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenLocation(Coordinator* coordinator,
                                                                const std::string& job,
                                                                const v1::Location& location) {
  CALDERA_ASSIGN_OR_RETURN(const JobState state, coordinator->FindJobState(job));
  switch (location.kind_case()) {
    case v1::Location::kModelFile:
      return OpenModelFile(state, location.model_file());
    case v1::Location::kCalibration:
      return store::OpenFile(state.record.job.spec().calibration().uri());
    case v1::Location::kOutputFile:
      return OpenOutputFile(state, location.output_file());
    case v1::Location::kObject:
      return OpenJobObject(state, location.object(), coordinator->store());
    default:
      return base::InvalidArgument("location: exactly one kind is required");
  }
}

absl::StatusOr<v1::ListFilesResponse> ListFiles(Coordinator* coordinator,
                                                const v1::ListFilesRequest& request) {
  CALDERA_ASSIGN_OR_RETURN(const JobState state, coordinator->FindJobState(request.job()));
  absl::StatusOr<std::unique_ptr<model::FileSet>> files =
      base::InvalidArgument("set: MODEL or OUTPUT is required");
  if (request.set() == v1::ListFilesRequest::MODEL) {
    files = store::OpenFiles(state.record.job.spec().model_uri());
  } else if (request.set() == v1::ListFilesRequest::OUTPUT) {
    files = OpenOutput(state);
  }
  CALDERA_RETURN_IF_ERROR(files.status());
  v1::ListFilesResponse response;
  response.set_name((*files)->name());
  CALDERA_ASSIGN_OR_RETURN(const std::vector<model::FileSet::Entry> entries, (*files)->List());
  for (const model::FileSet::Entry& entry : entries) {
    v1::ListFilesResponse::File* file = response.add_files();
    file->set_name(entry.name);
    file->set_size(static_cast<std::int64_t>(entry.size));
  }
  return response;
}

}  // namespace caldera::coordinator
