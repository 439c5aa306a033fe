// The XML documents of S3 that we read and write.
#ifndef CALDERA_COMMON_STORE_S3_XML_H_
#define CALDERA_COMMON_STORE_S3_XML_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace caldera::store {

// <Error>; both are empty when `xml` is another document or none at all.
struct S3Error {
  std::string code;  // "NoSuchKey"
  std::string message;
};
S3Error ParseS3Error(const std::string& xml);

struct S3ListEntry {
  std::string key;
  std::uint64_t size = 0;
};

// <ListBucketResult> of version 2.
struct S3ListPage {
  std::vector<S3ListEntry> entries;
  std::vector<std::string> prefixes;  // common ones, with their '/'
  std::string next;                   // continuation token; "" on the last page
};
// DATA_LOSS for anything but a whole document of its kind, here and below.
absl::StatusOr<S3ListPage> ParseListPage(const std::string& xml);

struct S3Upload {
  std::string key;
  std::string id;
};

// <ListMultipartUploadsResult>.
struct S3UploadPage {
  std::vector<S3Upload> uploads;
  std::string next_key;  // "" on the last page
  std::string next_id;
};
absl::StatusOr<S3UploadPage> ParseUploadPage(const std::string& xml);

// The text of a child of the root element: UploadId of <InitiateMultipartUploadResult>, ETag of
// <CopyPartResult>.
absl::StatusOr<std::string> ParseChild(const std::string& xml, const std::string& child);

// <CompleteMultipartUpload> of the parts 1, 2, ... with these ETags.
std::string CompleteUploadXml(const std::vector<std::string>& etags);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_XML_H_
