#include "common/store/s3_writer.h"

#include <utility>

#include "common/base/status.h"
#include "common/store/keys.h"

namespace caldera::store {

S3Writer::S3Writer(std::shared_ptr<const S3Client> client, S3Location root, MultipartUpload upload,
                   const S3StoreOptions& options)
    : client_(std::move(client)),
      root_(std::move(root)),
      upload_(std::move(upload)),
      copy_(options.copy),
      parts_(client_.get(), &upload_, options.parts) {}

S3Writer::~S3Writer() {
  parts_.Settle();
  if (!committed_) AbortUpload(*client_, upload_, Attempts::kOnce).IgnoreError();
}

absl::Status S3Writer::Named(const absl::Status& status) const {
  return base::WithContext(status, upload_.location.Uri());
}

absl::Status S3Writer::Append(std::span<const std::byte> bytes) {
  digest_.Update(bytes);
  size_ += bytes.size();
  return parts_.Append(bytes);
}

absl::StatusOr<ObjectInfo> S3Writer::Commit() {
  // An earlier error of a part comes out before any digest is trusted.
  CALDERA_RETURN_IF_ERROR(parts_.Append({}));
  const ObjectInfo info{.sha256 = digest_.HexDigest(), .size = size_};
  CALDERA_RETURN_IF_ERROR(Named(parts_.IsUnsent() ? CommitSmall(info) : CommitLarge(info)));
  committed_ = true;
  return info;
}

absl::Status S3Writer::CommitSmall(const ObjectInfo& info) {
  CALDERA_ASSIGN_OR_RETURN(const bool open, UploadIsOpen(*client_, upload_));
  if (!open) return base::FailedPrecondition("staging was removed");
  const S3Location object = root_.Below(ObjectKey(info.sha256));
  absl::Status put = PutObject(*client_, object, parts_.buffer(), IfPresent::kKeep);
  if (absl::IsAlreadyExists(put)) {
    // One of another size is damaged and gets replaced.
    CALDERA_ASSIGN_OR_RETURN(const S3ObjectFacts facts, HeadObject(*client_, object));
    put = facts.size == info.size
              ? absl::OkStatus()
              : PutObject(*client_, object, parts_.buffer(), IfPresent::kReplace);
  }
  CALDERA_RETURN_IF_ERROR(put);
  return AbortUpload(*client_, upload_, Attempts::kUntilPatienceEnds);
}

absl::Status S3Writer::CommitLarge(const ObjectInfo& info) {
  CALDERA_ASSIGN_OR_RETURN(const auto etags, parts_.Finish());
  const absl::Status completed = CompleteUpload(*client_, upload_, etags, size_);
  if (absl::IsNotFound(completed)) return base::FailedPrecondition("staging was removed");
  CALDERA_RETURN_IF_ERROR(completed);
  const S3Location object = root_.Below(ObjectKey(info.sha256));
  const auto present = HeadObject(*client_, object);
  if (!present.ok() && !absl::IsNotFound(present.status())) return present.status();
  if (!present.ok() || present->size != info.size) {
    CALDERA_RETURN_IF_ERROR(CopyFromStaging(info, object));
  }
  CALDERA_RETURN_IF_ERROR(DeleteObject(*client_, upload_.location));
  if (upload_.twins == MultipartUpload::Twins::kNone) return absl::OkStatus();
  return AbortUpload(*client_, upload_, Attempts::kUntilPatienceEnds);
}

absl::Status S3Writer::CopyFromStaging(const ObjectInfo& info, const S3Location& object) {
  const absl::Status copied = CopyObject(*client_, {upload_.location, object, info.size}, copy_);
  if (absl::IsNotFound(copied)) return base::FailedPrecondition("staging was removed");
  return copied;
}

}  // namespace caldera::store
