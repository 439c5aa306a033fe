#include "worker/object_io.h"

#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/rpc/chunked.h"

namespace caldera::worker {
namespace {

v1::ObjectRef ToRef(const store::ObjectInfo& info) {
  v1::ObjectRef ref;
  ref.set_sha256(info.sha256);
  ref.set_size(static_cast<std::int64_t>(info.size));
  return ref;
}

absl::Status CheckDigest(const v1::ObjectRef& object, std::span<const std::byte> bytes) {
  if (base::Sha256Hex(bytes) == object.sha256()) return absl::OkStatus();
  return base::DataLoss("object {} does not hold the bytes of its name", object.sha256());
}

class DirectSink final : public ObjectSink {
 public:
  explicit DirectSink(std::unique_ptr<store::ObjectWriter> writer) : writer_(std::move(writer)) {}
  absl::Status Append(std::span<const std::byte> bytes) override { return writer_->Append(bytes); }
  absl::StatusOr<v1::ObjectRef> Finish() override {
    CALDERA_ASSIGN_OR_RETURN(const store::ObjectInfo info, writer_->Commit());
    return ToRef(info);
  }

 private:
  std::unique_ptr<store::ObjectWriter> writer_;
};

class DirectObjectIo final : public ObjectIo {
 public:
  DirectObjectIo(store::CheckpointStore& store, const v1::Lease& lease)
      : store_(store), label_(lease.lease_id()) {}

  absl::StatusOr<std::vector<std::byte>> Read(const v1::ObjectRef& object) override {
    std::vector<std::byte> bytes(static_cast<std::size_t>(object.size()));
    CALDERA_RETURN_IF_ERROR(store_.ReadObject(object.sha256(), 0, bytes));
    CALDERA_RETURN_IF_ERROR(CheckDigest(object, bytes));
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<ObjectSink>> Create() override {
    CALDERA_ASSIGN_OR_RETURN(auto writer, store_.Stage(label_));
    return std::make_unique<DirectSink>(std::move(writer));
  }

 private:
  store::CheckpointStore& store_;
  const std::string label_;
};

// A stream that breaks is resumed at once; a longer wait is MakePatientObjectIo's, which tells of
// it and ends when the task is to stop.
rpc::TransferOptions ResumeBriefly() {
  rpc::TransferOptions options;
  options.retry.time_limit = absl::Seconds(2);
  return options;
}

// Everything a transfer of one lease needs.
struct Connection {
  CheckpointAccess access;
  std::string job;
  std::string lease_id;
  int attempt = 0;
};

class StreamedSink final : public ObjectSink {
 public:
  explicit StreamedSink(const Connection& connection) : connection_(connection) {}

  absl::Status Append(std::span<const std::byte> bytes) override {
    bytes_->insert(bytes_->end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  }

  absl::StatusOr<v1::ObjectRef> Finish() override {
    const rpc::UploadIdentity identity{base::NewUuid(), connection_.lease_id, connection_.attempt};
    const CheckpointAccess& access = connection_.access;
    return rpc::Upload(access.channel, identity, bytes_, ResumeBriefly(), *access.clock);
  }

 private:
  const Connection connection_;
  const std::shared_ptr<std::vector<std::byte>> bytes_ = std::make_shared<std::vector<std::byte>>();
};

class StreamedObjectIo final : public ObjectIo {
 public:
  explicit StreamedObjectIo(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<std::vector<std::byte>> Read(const v1::ObjectRef& object) override {
    v1::ReadRequest request;
    request.set_job(connection_.job);
    request.mutable_location()->set_object(object.sha256());
    std::vector<std::byte> bytes(static_cast<std::size_t>(object.size()));
    const CheckpointAccess& access = connection_.access;
    CALDERA_RETURN_IF_ERROR(
        rpc::DownloadInto(*access.stub, request, ResumeBriefly(), *access.clock, bytes));
    CALDERA_RETURN_IF_ERROR(CheckDigest(object, bytes));
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<ObjectSink>> Create() override {
    return std::make_unique<StreamedSink>(connection_);
  }

 private:
  const Connection connection_;
};

}  // namespace

absl::StatusOr<v1::ObjectRef> ObjectIo::Write(std::span<const std::byte> bytes) {
  CALDERA_ASSIGN_OR_RETURN(auto sink, Create());
  CALDERA_RETURN_IF_ERROR(sink->Append(bytes));
  return sink->Finish();
}

std::unique_ptr<ObjectIo> MakeDirectObjectIo(store::CheckpointStore& store,
                                             const v1::Lease& lease) {
  return std::make_unique<DirectObjectIo>(store, lease);
}

std::unique_ptr<ObjectIo> MakeStreamedObjectIo(const CheckpointAccess& access,
                                               const v1::Lease& lease) {
  return std::make_unique<StreamedObjectIo>(
      Connection{access, lease.job(), lease.lease_id(), lease.attempt()});
}

}  // namespace caldera::worker
