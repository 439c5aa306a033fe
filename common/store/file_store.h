// The store in a directory: local disk, NFS or Lustre. Crash-safe without a journal.
//
//   staging/<label>-<uuid>          being written, private to its writer
//   objects/sha256/ab/<64 hex>      finished, mode 0444, never written again
//   <key>                           small files, replaced by rename
//
// An object is written to staging and hashed on the way, fsynced, renamed into objects/, and its
// directory fsynced; so after a power cut an object is either whole or absent. Below the root no
// symbolic link is ever followed: every step of a path is opened without following.
// Several processes may use one root at the same time.
#ifndef CALDERA_COMMON_STORE_FILE_STORE_H_
#define CALDERA_COMMON_STORE_FILE_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/store/checkpoint_store.h"

namespace caldera::store {

class FileStore final : public CheckpointStore {
 public:
  // Creates `directory` (absolute) and its parents where missing. The directory itself may be
  // reached through symbolic links.
  static absl::StatusOr<std::unique_ptr<FileStore>> Open(const std::string& directory);

  const std::string& uri() const override { return uri_; }
  // Absolute path of an object, for readers that map or open it themselves (it may not exist).
  std::string ObjectPath(const std::string& sha256) const;

  absl::StatusOr<std::unique_ptr<ObjectWriter>> Stage(const std::string& label) override;
  absl::Status RemoveStaging(const std::string& label) override;
  // By the files' modification times, which a file server's clock may set.
  absl::Status SweepStaging(absl::Time before) override;
  absl::StatusOr<ObjectInfo> StatObject(const std::string& sha256) const override;
  absl::Status ReadObject(const std::string& sha256, std::uint64_t offset,
                          std::span<std::byte> out) const override;
  absl::Status VerifyObject(const std::string& sha256) const override;
  absl::Status RemoveObject(const std::string& sha256) override;
  absl::Status WriteKey(const std::string& key, const std::string& bytes) override;
  absl::StatusOr<std::string> ReadKey(const std::string& key) const override;
  absl::Status RemoveKey(const std::string& key) override;
  absl::StatusOr<std::vector<std::string>> ListKeys(const std::string& prefix) const override;
  absl::Status Publish(const std::string& sha256, const std::string& output_uri,
                       const std::string& file) override;
  absl::Status PublishBytes(const std::string& bytes, const std::string& output_uri,
                            const std::string& file) override;
  absl::StatusOr<std::uint64_t> FreeBytes() const override;

 private:
  // Of a file in staging.
  using Choice = absl::FunctionRef<bool(int staging, const std::string& name)>;
  absl::Status RemoveStaged(Choice choice);
  FileStore(std::string directory, base::UniqueFd root);
  absl::StatusOr<base::UniqueFd> OpenObject(const std::string& sha256) const;
  absl::Status TryWriteKey(const std::string& key, const std::string& bytes);
  absl::Status PublishToBucket(const std::string& sha256, const std::string& output_uri,
                               const std::string& file) const;

  const std::string directory_;
  const std::string uri_;
  const base::UniqueFd root_;
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_FILE_STORE_H_
