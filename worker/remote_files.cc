#include "worker/remote_files.h"

#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"

namespace caldera::worker {
namespace {

class RemoteSource final : public model::ByteSource {
 public:
  RemoteSource(CheckpointAccess access, v1::ReadRequest request, std::string name,
               std::uint64_t size)
      : access_(std::move(access)),
        request_(std::move(request)),
        name_(std::move(name)),
        size_(size) {}

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return size_; }

  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size_ || out.size() > size_ - offset) {
      return base::OutOfRange("{}: bytes {}..{} of {}", name_, offset, offset + out.size(), size_);
    }
    v1::ReadRequest request = request_;
    request.set_offset(static_cast<std::int64_t>(offset));
    return rpc::DownloadInto(*access_.stub, request, {}, *access_.clock, out);
  }

 private:
  const CheckpointAccess access_;
  const v1::ReadRequest request_;
  const std::string name_;
  const std::uint64_t size_;
};

class RemoteFileSet final : public model::FileSet {
 public:
  RemoteFileSet(CheckpointAccess access, std::string job, const v1::ListFilesResponse& files)
      : access_(std::move(access)), job_(std::move(job)), name_(files.name()) {
    for (const auto& file : files.files()) {
      entries_.push_back({file.name(), static_cast<std::uint64_t>(file.size())});
    }
  }

  const std::string& name() const override { return name_; }
  absl::StatusOr<std::vector<Entry>> List() const override { return entries_; }

  absl::StatusOr<std::unique_ptr<model::ByteSource>> Open(const std::string& file) const override {
    for (const Entry& entry : entries_) {
      if (entry.name != file) continue;
      v1::ReadRequest request;
      request.set_job(job_);
      request.mutable_location()->set_model_file(file);
      return std::make_unique<RemoteSource>(access_, request, name_ + "/" + file, entry.size);
    }
    return base::NotFound("{} has no file {}", name_, file);
  }

 private:
  const CheckpointAccess access_;
  const std::string job_;
  const std::string name_;
  std::vector<Entry> entries_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<model::FileSet>> OpenRemoteModel(const CheckpointAccess& access,
                                                                const std::string& job) {
  v1::ListFilesRequest request;
  request.set_job(job);
  request.set_set(v1::ListFilesRequest::MODEL);
  v1::ListFilesResponse response;
  grpc::ClientContext context;
  rpc::SetTimeout(context, absl::Seconds(20));
  CALDERA_RETURN_IF_ERROR(rpc::FromGrpc(access.stub->ListFiles(&context, request, &response)));
  return std::make_unique<RemoteFileSet>(access, job, response);
}

absl::StatusOr<std::string> ReadRemoteCalibration(const CheckpointAccess& access,
                                                  const std::string& job) {
  v1::ReadRequest request;
  request.set_job(job);
  request.mutable_location()->set_calibration("text");
  std::string text;
  const auto append = [&text](std::span<const std::byte> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return absl::OkStatus();
  };
  const auto result = rpc::DownloadRange(*access.stub, request, {}, *access.clock, append);
  CALDERA_RETURN_IF_ERROR(result.status());
  return text;
}

}  // namespace caldera::worker
