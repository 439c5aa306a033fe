// The requests of S3 that concern one object or a listing, each as a function. Errors and retries:
// s3_client.h. Thread rule: as S3Client, which outlives every call.
#ifndef CALDERA_COMMON_STORE_S3_OBJECTS_H_
#define CALDERA_COMMON_STORE_S3_OBJECTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/s3_client.h"
#include "common/store/s3_xml.h"

namespace caldera::store {

struct S3ObjectFacts {
  std::uint64_t size = 0;
  std::string etag;  // of these bytes; how it is made is the server's business
};
absl::StatusOr<S3ObjectFacts> HeadObject(const S3Client& client, const S3Location& location);

// The whole of a small object.
absl::StatusOr<std::string> GetObject(const S3Client& client, const S3Location& location);
// Fills all of `out` from `offset`; OUT_OF_RANGE past the end. The facts are those of the answer.
// Precondition: `out` is not empty.
absl::StatusOr<S3ObjectFacts> GetRange(const S3Client& client, const S3Location& location,
                                       std::uint64_t offset, std::span<std::byte> out);
// SHA-256 of the object's `size` bytes, read in ranges; hashing and reading overlap.
absl::StatusOr<std::string> DigestOfObject(const S3Client& client, const S3Location& location,
                                           std::uint64_t size);

enum class IfPresent { kReplace, kKeep };
// kKeep: ALREADY_EXISTS when there is an object (also when an attempt before a lost answer made
// it).
absl::Status PutObject(const S3Client& client, const S3Location& location,
                       std::span<const std::byte> bytes, IfPresent if_present);
// OK also when there is no such object.
absl::Status DeleteObject(const S3Client& client, const S3Location& location);

// The server copies; by parts of `part_bytes` when `size` is over `limit_bytes`, which is 5 GiB for
// Amazon's. Replaces what is at `to`.
struct CopyLimits {
  std::uint64_t limit_bytes = std::uint64_t{5} << 30;
  std::uint64_t part_bytes = std::uint64_t{512} << 20;
};
struct CopyJob {
  S3Location from;
  S3Location to;
  std::uint64_t size = 0;
};
absl::Status CopyObject(const S3Client& client, const CopyJob& job, const CopyLimits& limits);

struct ListOptions {
  std::string prefix = {};     // of keys in the bucket
  std::string delimiter = {};  // "/" = one level, what lies deeper as S3ListPage::prefixes
  int page_size = 1000;        // at most 1000
  std::size_t maximum = -1;    // entries after which the listing ends early
};
// All pages as one; `next` is empty.
absl::StatusOr<S3ListPage> ListObjects(const S3Client& client, const std::string& bucket,
                                       const ListOptions& options);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_OBJECTS_H_
