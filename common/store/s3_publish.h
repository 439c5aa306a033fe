// Giving bytes a name in a published directory that lies in a bucket. Errors: s3_client.h.
#ifndef CALDERA_COMMON_STORE_S3_PUBLISH_H_
#define CALDERA_COMMON_STORE_S3_PUBLISH_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/object_bytes.h"
#include "common/store/s3_client.h"

namespace caldera::store {

// A client with the settings of the process (s3_settings.h).
absl::StatusOr<std::shared_ptr<const S3Client>> MakeS3Client(const S3ClientOptions& options);

// OK when `to` holds the bytes of the digest; ALREADY_EXISTS when it holds others; NOT_FOUND when
// there is no object.
absl::Status CheckPublished(const S3Client& client, const S3Location& to, const ObjectInfo& object);

// As CheckpointStore::Publish, for an object of another kind of store: read, hashed on the way and
// uploaded, in parts when it is large. DATA_LOSS when the bytes are not those of the digest; then
// nothing appears.
absl::Status PublishToS3(const S3Client& client, const ObjectBytes& object, const S3Location& to);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_PUBLISH_H_
