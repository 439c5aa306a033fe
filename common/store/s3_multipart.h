// Uploads in parts: the staging of S3Store, and copies beyond 5 GiB. An upload is invisible until
// it is completed and costs storage until it is completed or aborted. Errors, retries, threads: as
// s3_objects.h.
#ifndef CALDERA_COMMON_STORE_S3_MULTIPART_H_
#define CALDERA_COMMON_STORE_S3_MULTIPART_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/s3_client.h"
#include "common/store/s3_objects.h"

namespace caldera::store {

inline constexpr int kMaximumParts = 10000;

struct MultipartUpload {
  S3Location location;
  std::string id;
  // An answer was lost, so there may be a second upload of this key that nobody knows.
  enum class Twins { kNone, kPossible } twins = Twins::kNone;
};

absl::StatusOr<MultipartUpload> CreateUpload(const S3Client& client, const S3Location& location);
// Sends part `number` (from 1); its ETag. Sending a part again replaces it. NOT_FOUND when the
// upload was aborted.
absl::StatusOr<std::string> UploadPart(const S3Client& client, const MultipartUpload& upload,
                                       int number, std::span<const std::byte> bytes);
// Fills part `number` from bytes [begin, end) of another object.
struct PartOfObject {
  S3Location from;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};
absl::StatusOr<std::string> UploadPartCopy(const S3Client& client, const MultipartUpload& upload,
                                           int number, const PartOfObject& part);
// Makes the object of parts 1, 2, ...; `size` is their sum. OK also when an attempt whose answer
// was lost had done so. NOT_FOUND when the upload was aborted.
absl::Status CompleteUpload(const S3Client& client, const MultipartUpload& upload,
                            const std::vector<std::string>& etags, std::uint64_t size);
// OK also when there is no such upload. Aborts a twin, too.
absl::Status AbortUpload(const S3Client& client, const MultipartUpload& upload, Attempts attempts);
// Whether the upload is still open.
absl::StatusOr<bool> UploadIsOpen(const S3Client& client, const MultipartUpload& upload);
// Open uploads whose key begins with `prefix`.
absl::StatusOr<std::vector<MultipartUpload>> ListUploads(const S3Client& client,
                                                         const S3Location& prefix, int page_size);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_MULTIPART_H_
