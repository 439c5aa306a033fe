// The reading half of a real CheckpointService: the model files and the calibration text of one
// job.
#ifndef CALDERA_TESTS_WORKER_JOB_FILES_SERVER_H_
#define CALDERA_TESTS_WORKER_JOB_FILES_SERVER_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"

namespace caldera::worker {

class JobFilesServer final : public v1::CheckpointService::Service {
 public:
  // Knows one job, `job`. Files may change before the server starts, not afterwards.
  JobFilesServer(std::string job, std::shared_ptr<const model::FileSet> files,
                 std::shared_ptr<const model::ByteSource> text)
      : job_(std::move(job)), files_(std::move(files)), text_(std::move(text)) {}

  grpc::Status ListFiles(grpc::ServerContext* /*context*/, const v1::ListFilesRequest* request,
                         v1::ListFilesResponse* response) override {
    return rpc::ToGrpc(List(*request, *response));
  }
  grpc::Status Read(grpc::ServerContext* /*context*/, const v1::ReadRequest* request,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override {
    return rpc::ToGrpc(Send(*request, *writer));
  }

 private:
  absl::Status CheckJob(const std::string& job) const {
    return job == job_ ? absl::OkStatus() : base::NotFound("{} is no job", job);
  }
  absl::Status List(const v1::ListFilesRequest& request, v1::ListFilesResponse& response) const {
    CALDERA_RETURN_IF_ERROR(CheckJob(request.job()));
    CALDERA_ASSIGN_OR_RETURN(const auto entries, files_->List());
    response.set_name(files_->name());
    for (const model::FileSet::Entry& entry : entries) {
      v1::ListFilesResponse::File& file = *response.add_files();
      file.set_name(entry.name);
      file.set_size(static_cast<std::int64_t>(entry.size));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<const model::ByteSource>> Find(
      const v1::ReadRequest& request) const {
    CALDERA_RETURN_IF_ERROR(CheckJob(request.job()));
    if (request.location().has_calibration()) return text_;
    CALDERA_ASSIGN_OR_RETURN(std::shared_ptr<const model::ByteSource> file,
                             files_->Open(request.location().model_file()));
    return file;
  }
  absl::Status Send(const v1::ReadRequest& request,
                    grpc::ServerWriter<v1::ReadResponse>& writer) const {
    CALDERA_ASSIGN_OR_RETURN(const auto source, Find(request));
    auto offset = static_cast<std::uint64_t>(request.offset());
    const std::uint64_t end = request.length() == 0
                                  ? source->size()
                                  : offset + static_cast<std::uint64_t>(request.length());
    do {
      std::vector<std::byte> bytes(std::min<std::uint64_t>(rpc::kChunkBytes, end - offset));
      CALDERA_RETURN_IF_ERROR(source->Read(offset, bytes));
      v1::ReadResponse response;
      rpc::FillChunk(offset, bytes, response);
      response.set_total_size(static_cast<std::int64_t>(source->size()));
      writer.Write(response);
      offset += bytes.size();
    } while (offset < end);
    return absl::OkStatus();
  }

  const std::string job_;
  const std::shared_ptr<const model::FileSet> files_;
  const std::shared_ptr<const model::ByteSource> text_;
};

}  // namespace caldera::worker

#endif  // CALDERA_TESTS_WORKER_JOB_FILES_SERVER_H_
