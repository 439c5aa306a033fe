// Giving an object a name in a published directory of the file system.
#ifndef CALDERA_COMMON_STORE_FILE_PUBLISH_H_
#define CALDERA_COMMON_STORE_FILE_PUBLISH_H_

#include <string>

#include "absl/status/status.h"
#include "common/store/object_bytes.h"

namespace caldera::store {

// An object as a file of an open directory.
struct ObjectFile {
  int directory = -1;  // not owned
  std::string sha256;  // also its name there
};

// Whether to try a hard link first. kCopy is what happens between file systems.
enum class PublishBy { kLinkOrCopy, kCopy };

// As CheckpointStore::Publish for a file:// directory. A copy is hashed on the way: DATA_LOSS when
// the stored bytes are not those of the digest, and nothing is published.
absl::Status PublishFile(const ObjectFile& object, const std::string& output_directory,
                         const std::string& file, PublishBy by);
// The same for an object of another kind of store; always a copy.
absl::Status PublishCopy(const ObjectBytes& object, const std::string& output_directory,
                         const std::string& file);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_FILE_PUBLISH_H_
