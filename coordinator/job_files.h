// What of a job may be read through CheckpointService: files of its model, its text, its published
// checkpoint, its objects. Nothing else has a name here.
#ifndef CALDERA_COORDINATOR_JOB_FILES_H_
#define CALDERA_COORDINATOR_JOB_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "caldera/v1/checkpoint.pb.h"
#include "common/model/byte_source.h"
#include "coordinator/coordinator.h"

namespace caldera::coordinator {

// NOT_FOUND for an unknown job or file, PERMISSION_DENIED for an object of another job, a name with
// a
// '/', or output that is not published yet. Blocking.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenLocation(Coordinator* coordinator,
                                                                const std::string& job,
                                                                const v1::Location& location);
absl::StatusOr<v1::ListFilesResponse> ListFiles(Coordinator* coordinator,
                                                const v1::ListFilesRequest& request);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_JOB_FILES_H_
