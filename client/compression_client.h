// The client's side of the public API: one method per call, absl errors, deadlines and retries
// inside.
//
// Only UNAVAILABLE is retried (for `patience`). Thread rule: all methods from any thread.
#ifndef CALDERA_CLIENT_COMPRESSION_CLIENT_H_
#define CALDERA_CLIENT_COMPRESSION_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "caldera/v1/checkpoint.grpc.pb.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"

namespace caldera::client {

class CompressionClient {
 public:
  // Connects to "HOST:PORT" on first use.
  static absl::StatusOr<std::unique_ptr<CompressionClient>> Connect(
      const std::string& address, const rpc::ChannelOptions& options, absl::Duration patience);

  absl::StatusOr<v1::CompressionJob> Create(const v1::CreateCompressionJobRequest& request);
  // Job names are "compressionJobs/x"; a bare "x" means the same.
  absl::StatusOr<v1::CompressionJob> Get(const std::string& job);
  absl::StatusOr<v1::CompressionJob> Cancel(const std::string& job);
  absl::StatusOr<v1::CompressionJob> Resume(const v1::ResumeCompressionJobRequest& request);
  absl::Status Delete(const std::string& job);
  // All pages. `filter` as the API has it: "" or "state=RUNNING".
  absl::StatusOr<std::vector<v1::CompressionJob>> List(const std::string& filter);
  absl::StatusOr<std::vector<v1::Layer>> ListLayers(const std::string& job);
  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();

  // Events after `after_sequence`, reconnecting where the stream breaks, until the job has ended
  // (its last state is returned) or `on_event` answers false (CANCELLED).
  using OnEvent = std::function<bool(const v1::JobEvent&)>;
  absl::StatusOr<v1::CompressionJob> Watch(const std::string& job, std::int64_t after_sequence,
                                           const OnEvent& on_event);

  // What the health service says of `service` ("" = the whole server).
  absl::StatusOr<rpc::ServingStatus> Health(const std::string& service);

  v1::CheckpointService::StubInterface& checkpoints() { return *checkpoints_; }

 private:
  CompressionClient(std::string address, std::shared_ptr<grpc::Channel> channel,
                    absl::Duration patience);
  template <typename Call>
  absl::Status Retry(Call call, absl::Duration timeout);
  template <typename Call>
  absl::Status Retry(Call call);
  // A stream that ended without the job's end: wait and go on, or give up.
  absl::Status WatchOnce(const std::string& name, std::int64_t& sequence, const OnEvent& on_event,
                         v1::CompressionJob& last);

  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::CompressionService::StubInterface> stub_;
  const std::unique_ptr<v1::CheckpointService::StubInterface> checkpoints_;
  const absl::Duration patience_;
};

// "compressionJobs/x" for "x" and for itself.
std::string JobName(const std::string& job);
bool HasEnded(v1::State state);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_COMPRESSION_CLIENT_H_
