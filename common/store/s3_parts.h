// A stream of bytes as the parts of an upload: some in flight while the next one fills.
#ifndef CALDERA_COMMON_STORE_S3_PARTS_H_
#define CALDERA_COMMON_STORE_S3_PARTS_H_

#include <cstddef>
#include <deque>
#include <future>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/s3_multipart.h"

namespace caldera::store {

struct PartOptions {
  std::size_t bytes = std::size_t{16} << 20;  // of each but the last; Amazon's wants 5 MiB at least
  int in_flight = 3;
};

// One thread at a time. Memory: bytes x (in_flight + 1). The client and the upload outlive it.
class S3PartStream {
 public:
  S3PartStream(const S3Client* client, const MultipartUpload* upload, const PartOptions& options);
  ~S3PartStream() { Settle(); }
  S3PartStream(const S3PartStream&) = delete;
  S3PartStream& operator=(const S3PartStream&) = delete;

  // An error of a part is told here or by Finish, once it is known, and from then on.
  // RESOURCE_EXHAUSTED beyond 10,000 parts; FAILED_PRECONDITION when the upload was aborted.
  absl::Status Append(std::span<const std::byte> bytes);
  // Everything so far fits into one part, which was not sent.
  bool IsUnsent() const { return etags_.empty() && in_flight_.empty(); }
  std::span<const std::byte> buffer() const { return buffer_; }
  // Waits for the parts in flight, whatever becomes of them: before an upload is aborted.
  void Settle();
  // Sends the rest and waits: the ETags of all parts.
  absl::StatusOr<std::vector<std::string>> Finish();

 private:
  struct Sent {
    absl::StatusOr<std::string> etag;
    std::vector<std::byte> buffer;  // to be filled again: fresh pages cost as much as hashing
  };
  absl::Status TryAppend(std::span<const std::byte> bytes);
  absl::Status Send();
  absl::Status TakeOldest();  // waits for it

  const S3Client* const client_;
  const MultipartUpload* const upload_;
  const PartOptions options_;
  std::vector<std::byte> buffer_;   // of the part being filled
  std::vector<std::string> etags_;  // of the parts that have arrived
  std::deque<std::future<Sent>> in_flight_;
  std::vector<std::vector<std::byte>> spare_;
  absl::Status broken_;
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_PARTS_H_
