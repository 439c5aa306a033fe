// Where objects, receipts and published checkpoints lie: the contract of file://, s3:// and memory.
//
// An object is immutable and named by its content: `objects/sha256/ab/<64 hex>`. It appears whole
// or not at all: bytes are staged, hashed while written, synced, then renamed. A published file is
// a second name for an object (hard link, server-side copy). Keys are relative, '/'-separated, made
// of [A-Za-z0-9._-] parts; no part is empty, "." or ".." (store/keys.h validates). Thread rule:
// every method may be called from several threads at once. Errors: NOT_FOUND names the key;
// RESOURCE_EXHAUSTED for a full disk; DATA_LOSS for a digest that does not match; INVALID_ARGUMENT
// for a bad key; UNAVAILABLE for what a retry may mend.
#ifndef CALDERA_COMMON_STORE_CHECKPOINT_STORE_H_
#define CALDERA_COMMON_STORE_CHECKPOINT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caldera::store {

// Name and size of an object.
struct ObjectInfo {
  std::string sha256;      // 64 lower-case hex digits
  std::uint64_t size = 0;  // bytes
  friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};

// An object being written. Destroying it before Commit discards what was staged. One thread at a
// time.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  virtual std::uint64_t size() const = 0;  // bytes appended so far
  // Syncs and renames; afterwards the object is readable under its digest. Committing bytes that
  // are already an object is no error. No method may be called after it.
  virtual absl::StatusOr<ObjectInfo> Commit() = 0;
};

class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;

  // "file:///dir", "s3://bucket/prefix" or "memory://name".
  virtual const std::string& uri() const = 0;

  // Starts an object. `label` (a valid key part) names the attempt: staging of dead attempts is
  // found and removed by it (RemoveStaging).
  virtual absl::StatusOr<std::unique_ptr<ObjectWriter>> Stage(const std::string& label) = 0;
  virtual absl::Status RemoveStaging(const std::string& label) = 0;
  // Removes what nobody has written to since `before`: its writer was killed. Stores whose staging
  // does not outlive its writers have nothing to do.
  virtual absl::Status SweepStaging(absl::Time /*before*/) { return absl::OkStatus(); }

  // Objects by digest. Read fills all of `out` (OUT_OF_RANGE past the end). Verify re-hashes the
  // stored bytes: DATA_LOSS on any difference.
  virtual absl::StatusOr<ObjectInfo> StatObject(const std::string& sha256) const = 0;
  virtual absl::Status ReadObject(const std::string& sha256, std::uint64_t offset,
                                  std::span<std::byte> out) const = 0;
  virtual absl::Status VerifyObject(const std::string& sha256) const = 0;
  virtual absl::Status RemoveObject(const std::string& sha256) = 0;

  // Small files under keys of their own (receipts, probes): replaced whole, by rename.
  virtual absl::Status WriteKey(const std::string& key, const std::string& bytes) = 0;
  virtual absl::StatusOr<std::string> ReadKey(const std::string& key) const = 0;
  virtual absl::Status RemoveKey(const std::string& key) = 0;
  // Keys that begin with `prefix` (whole parts), sorted; objects and staging are not listed.
  virtual absl::StatusOr<std::vector<std::string>> ListKeys(const std::string& prefix) const = 0;

  // Gives an object the name `file` (a key part) in the published directory `output_uri`, creating
  // the directory; hard link or server-side copy where possible, else copy then rename. Replaces
  // nothing: ALREADY_EXISTS when the name is taken by other bytes, OK when by the same. A file or
  // S3 store publishes to file:// and to s3:// outputs.
  virtual absl::Status Publish(const std::string& sha256, const std::string& output_uri,
                               const std::string& file) = 0;
  // Writes a small file into a published directory by rename, synced (manifest.json comes last so).
  virtual absl::Status PublishBytes(const std::string& bytes, const std::string& output_uri,
                                    const std::string& file) = 0;

  // Bytes that can still be written; UNIMPLEMENTED where nobody knows.
  virtual absl::StatusOr<std::uint64_t> FreeBytes() const = 0;
};

struct StoreOptions {
  // For how long a request to a store that is away is repeated before it fails with UNAVAILABLE
  // (s3:// only: a file system is not asked again).
  absl::Duration patience = absl::Seconds(60);
};

// Opens the store of a URI ("file:///dir", creating the directory; "/dir" means file;
// "s3://bucket/prefix" with the keys of the environment, s3_settings.h). INVALID_ARGUMENT for an
// unknown scheme.
absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenStore(const std::string& uri,
                                                           const StoreOptions& options = {});

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_CHECKPOINT_STORE_H_
