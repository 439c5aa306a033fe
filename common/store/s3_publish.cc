#include "common/store/s3_publish.h"

#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/store/s3_multipart.h"
#include "common/store/s3_objects.h"
#include "common/store/s3_parts.h"

namespace caldera::store {
namespace {

absl::Status PutWhole(const S3Client& client, const ObjectBytes& object, const S3Location& to) {
  std::vector<std::byte> bytes;
  CALDERA_RETURN_IF_ERROR(ReadWhole(object, [&bytes](std::span<const std::byte> piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return absl::OkStatus();
  }));
  return PutObject(client, to, bytes, IfPresent::kKeep);
}

absl::Status SendParts(const S3Client& client, const ObjectBytes& object,
                       const MultipartUpload& upload) {
  S3PartStream parts(&client, &upload, {});
  CALDERA_RETURN_IF_ERROR(ReadWhole(
      object, [&parts](std::span<const std::byte> piece) { return parts.Append(piece); }));
  CALDERA_ASSIGN_OR_RETURN(const auto etags, parts.Finish());
  return CompleteUpload(client, upload, etags, object.info.size);
}

absl::Status PutInParts(const S3Client& client, const ObjectBytes& object, const S3Location& to) {
  CALDERA_ASSIGN_OR_RETURN(const MultipartUpload upload, CreateUpload(client, to));
  const absl::Status status = SendParts(client, object, upload);
  if (!status.ok() || upload.twins == MultipartUpload::Twins::kPossible) {
    AbortUpload(client, upload, Attempts::kOnce).IgnoreError();
  }
  return status;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const S3Client>> MakeS3Client(const S3ClientOptions& options) {
  CALDERA_ASSIGN_OR_RETURN(S3Settings settings, ReadS3Settings(ProcessEnvironment()));
  return std::make_shared<const S3Client>(std::move(settings), options);
}

absl::Status CheckPublished(const S3Client& client, const S3Location& to,
                            const ObjectInfo& object) {
  CALDERA_ASSIGN_OR_RETURN(const S3ObjectFacts facts, HeadObject(client, to));
  if (facts.size == object.size) {
    CALDERA_ASSIGN_OR_RETURN(const std::string digest, DigestOfObject(client, to, facts.size));
    if (digest == object.sha256) return absl::OkStatus();
  }
  return base::AlreadyExists("{}: exists with other content", to.Uri());
}

absl::Status PublishToS3(const S3Client& client, const ObjectBytes& object, const S3Location& to) {
  const absl::Status present = CheckPublished(client, to, object.info);
  if (!absl::IsNotFound(present)) return present;
  const bool small = object.info.size <= PartOptions().bytes;
  const absl::Status put = small ? PutWhole(client, object, to) : PutInParts(client, object, to);
  return absl::IsAlreadyExists(put) ? CheckPublished(client, to, object.info) : put;
}

}  // namespace caldera::store
