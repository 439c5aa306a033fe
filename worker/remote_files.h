// A job's files through the coordinator's CheckpointService: for workers that cannot reach the
// model.
#ifndef CALDERA_WORKER_REMOTE_FILES_H_
#define CALDERA_WORKER_REMOTE_FILES_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "caldera/v1/checkpoint.grpc.pb.h"
#include "common/base/clock.h"
#include "common/model/byte_source.h"

namespace caldera::worker {

// How this worker reaches the coordinator's bytes; the clock outlives whoever holds a copy.
struct CheckpointAccess {
  CheckpointAccess() = default;
  CheckpointAccess(std::shared_ptr<grpc::Channel> to, base::Clock* clock_to_use)
      : channel(std::move(to)),
        stub(v1::CheckpointService::NewStub(channel)),
        clock(clock_to_use) {}

  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<v1::CheckpointService::StubInterface> stub;
  base::Clock* clock = nullptr;
};

// The model of `job` ("compressionJobs/x"). Reads go over the network in 1 MiB checked chunks.
// NOT_FOUND when the coordinator does not know the job.
absl::StatusOr<std::unique_ptr<model::FileSet>> OpenRemoteModel(const CheckpointAccess& access,
                                                                const std::string& job);

// The whole calibration text of `job`.
absl::StatusOr<std::string> ReadRemoteCalibration(const CheckpointAccess& access,
                                                  const std::string& job);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_REMOTE_FILES_H_
