// Models, texts and checkpoints in a bucket, read by range requests.
#ifndef CALDERA_COMMON_STORE_S3_FILES_H_
#define CALDERA_COMMON_STORE_S3_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/store/s3_client.h"

namespace caldera::store {

// The objects directly below `location`, or, where there are none, the one object there under its
// base name. NOT_FOUND when there is neither. The set holds the client.
absl::StatusOr<std::unique_ptr<model::FileSet>> OpenS3Files(std::shared_ptr<const S3Client> client,
                                                            const S3Location& location);

// One object. Errors: s3_client.h.
absl::StatusOr<std::unique_ptr<model::ByteSource>> OpenS3File(
    std::shared_ptr<const S3Client> client, const S3Location& location);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_S3_FILES_H_
