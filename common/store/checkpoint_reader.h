// Published checkpoints: opening one, and proving that its bytes are those that were published.
#ifndef CALDERA_COMMON_STORE_CHECKPOINT_READER_H_
#define CALDERA_COMMON_STORE_CHECKPOINT_READER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/store/manifest.h"

namespace caldera::store {

struct Checkpoint {
  std::string directory;
  Manifest manifest;
  std::string manifest_sha256;  // of the manifest's bytes: names the whole checkpoint
};

// Directories are paths or URIs (open_files.h): of this machine, a bucket or a web server.

// Whether the directory holds a manifest, readable or not. An error means that nobody knows.
absl::StatusOr<bool> HasManifest(const std::string& directory);

// Reads the manifest of `directory` and checks that every listed file is there with its size,
// without reading them. NOT_FOUND "no checkpoint in DIR: manifest.json is missing"; DATA_LOSS
// naming the manifest's bad field, or the file that is missing or has another size.
absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& directory);

// What VerifyCheckpoint found; file names in order. Extra files harm nothing, they are not of the
// checkpoint.
struct VerifyReport {
  std::vector<std::string> missing;
  std::vector<std::string> corrupt;  // other size or other digest
  std::vector<std::string>
      extra;  // in the directory, not listed (manifest.json and run.json aside)
  std::uint64_t bytes_read = 0;

  // OK, or DATA_LOSS naming the first missing or corrupt file and how many there are.
  absl::Status status() const;
};

// Reads and hashes every listed file. `progress` (may be empty) is told each file before it is
// read. An error means that the directory could not be examined at all.
using VerifyProgress = std::function<void(const std::string& file)>;
absl::StatusOr<VerifyReport> VerifyCheckpoint(const std::string& directory,
                                              const VerifyProgress& progress = {});

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_CHECKPOINT_READER_H_
