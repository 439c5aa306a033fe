// Writes one object of an S3Store.
#ifndef CALDERA_COMMON_STORE_S3_WRITER_H_
#define CALDERA_COMMON_STORE_S3_WRITER_H_

#include <memory>
#include <string>

#include "common/base/sha256.h"
#include "common/store/checkpoint_store.h"
#include "common/store/s3_multipart.h"
#include "common/store/s3_parts.h"
#include "common/store/s3_store.h"

namespace caldera::store {

// One thread at a time, as every ObjectWriter; holds the client, so it may outlive the store.
class S3Writer final : public ObjectWriter {
 public:
  // `upload` is open at root/staging/<label>-<uuid>.
  S3Writer(std::shared_ptr<const S3Client> client, S3Location root, MultipartUpload upload,
           const S3StoreOptions& options);
  // Aborts the upload unless it was committed: one attempt, since what stays is found by its label.
  ~S3Writer() override;

  absl::Status Append(std::span<const std::byte> bytes) override;
  std::uint64_t size() const override { return size_; }
  absl::StatusOr<ObjectInfo> Commit() override;

 private:
  absl::Status CommitSmall(const ObjectInfo& info);
  absl::Status CommitLarge(const ObjectInfo& info);
  absl::Status CopyFromStaging(const ObjectInfo& info, const S3Location& object);
  absl::Status Named(const absl::Status& status) const;

  const std::shared_ptr<const S3Client> client_;
  const S3Location root_;
  const MultipartUpload upload_;
  const CopyLimits copy_;
  S3PartStream parts_;
  base::Sha256 digest_;
  std::uint64_t size_ = 0;
  bool committed_ = false;
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_WRITER_H_
