#include "coordinator/uploads.h"

#include <span>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/chunked.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {

absl::StatusOr<std::shared_ptr<Uploads::Upload>> Uploads::Find(const Key& key) {
  CALDERA_RETURN_IF_ERROR(coordinator_->FindLease(key.fence).status());
  CALDERA_RETURN_IF_ERROR(CheckUuid(key.upload_id, "upload_id"));
  base::MutexLock lock(mutex_);
  std::shared_ptr<Upload>& upload = uploads_[key.upload_id];
  if (upload == nullptr) {
    upload = std::make_shared<Upload>();
    upload->fence = key.fence;
  }
  if (upload->fence != key.fence) {
    return base::PermissionDenied("upload {} belongs to another lease", key.upload_id);
  }
  return upload;
}

absl::StatusOr<std::optional<v1::ObjectRef>> Uploads::Write(const Key& key,
                                                            const rpc::WriteMessage& message) {
  CALDERA_ASSIGN_OR_RETURN(const std::shared_ptr<Upload> upload, Find(key));
  base::MutexLock lock(upload->mutex);
  if (upload->object.has_value()) return upload->object;
  const v1::WriteRequest& header = message.header();
  const auto end = static_cast<std::uint64_t>(header.offset()) + message.size();
  // A stream that broke may still be served when the next one asks where to go on.
  if (header.offset() >= 0 && end <= upload->size && message.size() > 0 && !header.finish()) {
    return std::optional<v1::ObjectRef>();
  }
  if (header.offset() != static_cast<std::int64_t>(upload->size)) {
    return base::Aborted("upload {}: offset {} where {} is expected", key.upload_id,
                         header.offset(), upload->size);
  }
  CALDERA_RETURN_IF_ERROR(rpc::CheckChunk(message, upload->size));
  if (upload->writer == nullptr) {
    CALDERA_ASSIGN_OR_RETURN(upload->writer,
                             coordinator_->store().Stage("upload-" + key.upload_id));
  }
  for (const std::span<const std::byte> piece : message.pieces()) {
    const absl::Status appended = upload->writer->Append(piece);
    if (!appended.ok()) {
      // What was staged is in doubt: the upload starts again from nothing.
      upload->writer.reset();
      upload->size = 0;
      return appended;
    }
  }
  upload->size += message.size();
  if (!header.finish()) return std::optional<v1::ObjectRef>();
  CALDERA_ASSIGN_OR_RETURN(const v1::ObjectRef object, Finish(upload.get()));
  return std::optional(object);
}

absl::StatusOr<v1::ObjectRef> Uploads::Finish(Upload* upload) {
  const std::unique_ptr<store::ObjectWriter> writer = std::move(upload->writer);
  absl::StatusOr<store::ObjectInfo> info = writer->Commit();
  if (!info.ok()) {
    upload->size = 0;
    return info.status();
  }
  v1::ObjectRef object;
  object.set_sha256(info->sha256);
  object.set_size(static_cast<std::int64_t>(info->size));
  upload->object = object;
  coordinator_->observer().StoreBytesWritten(info->size);
  return object;
}

absl::StatusOr<std::int64_t> Uploads::CommittedSize(const Key& key) {
  CALDERA_ASSIGN_OR_RETURN(const std::shared_ptr<Upload> upload, Find(key));
  base::MutexLock lock(upload->mutex);
  return static_cast<std::int64_t>(upload->size);
}

void Uploads::DropStale() {
  std::map<std::string, std::shared_ptr<Upload>> uploads;
  {
    base::MutexLock lock(mutex_);
    uploads = uploads_;
  }
  for (const auto& [id, upload] : uploads) {
    const absl::StatusOr<LeaseView> lease = coordinator_->FindLease(upload->fence);
    if (lease.ok() && lease->task.state != TaskState::kDone) continue;
    base::MutexLock lock(mutex_);
    uploads_.erase(id);
  }
}

}  // namespace caldera::coordinator
