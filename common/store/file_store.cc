#include "common/store/file_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/block_file.h"
#include "common/store/file_publish.h"
#include "common/store/keys.h"
#include "common/store/s3_objects.h"
#include "common/store/s3_publish.h"
#include "common/store/safe_path.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

const std::string& StagingName() {
  static const std::string name = "staging";
  return name;
}

// Writes a staged object. Holds its own descriptors, so it may outlive the store.
class FileWriter final : public ObjectWriter {
 public:
  FileWriter(std::string directory, StoreRoot::Fd root, base::UniqueFd staging, std::string name)
      : root_path_(std::move(directory)),
        root_(std::move(root)),
        staging_(std::move(staging)),
        name_(std::move(name)),
        path_(root_path_ + "/staging/" + name_) {}

  ~FileWriter() override {
    if (!committed_) unlinkat(staging_.get(), name_.c_str(), 0);
  }

  absl::Status Create() {
    CALDERA_ASSIGN_OR_RETURN(base::UniqueFd fd, CreateFileIn(staging_.get(), name_, path_));
    file_.emplace(std::move(fd), path_);
    return absl::OkStatus();
  }

  absl::Status Append(std::span<const std::byte> bytes) override {
    CALDERA_RETURN_IF_ERROR(file_->Append(bytes));
    digest_.Update(bytes);
    size_ += bytes.size();
    return absl::OkStatus();
  }

  std::uint64_t size() const override { return size_; }

  absl::StatusOr<ObjectInfo> Commit() override {
    if (fchmod(file_->fd(), 0444) != 0) return StoreError(errno, path_);
    CALDERA_RETURN_IF_ERROR(file_->Finish());
    const ObjectInfo info{.sha256 = digest_.HexDigest(), .size = size_};
    const std::vector<std::string> parts = {"objects", "sha256", info.sha256.substr(0, 2)};
    const std::string object_path = root_path_ + "/" + ObjectKey(info.sha256);
    CALDERA_ASSIGN_OR_RETURN(
        const base::UniqueFd directory,
        OpenDirectoryBelow(root_->get(), parts, MissingDirectories::kCreate, object_path));
    CALDERA_RETURN_IF_ERROR(MoveTo(directory.get(), info, object_path));
    committed_ = true;
    CALDERA_RETURN_IF_ERROR(SyncFd(directory.get(), object_path));
    return info;
  }

 private:
  // An object that is already there keeps its inode, and with it the published hard links; one of
  // another size is damaged and gets replaced.
  absl::Status MoveTo(int directory, const ObjectInfo& info, const std::string& object_path) {
    struct stat existing = {};
    const bool present =
        fstatat(directory, info.sha256.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(existing.st_mode) && static_cast<std::uint64_t>(existing.st_size) == info.size;
    const int result =
        present ? unlinkat(staging_.get(), name_.c_str(), 0)
                : renameat(staging_.get(), name_.c_str(), directory, info.sha256.c_str());
    if (result == 0) return absl::OkStatus();
    if (errno == ENOENT) return base::FailedPrecondition("{}: staging was removed", path_);
    return StoreError(errno, object_path);
  }

  const std::string root_path_;
  const StoreRoot::Fd root_;
  const base::UniqueFd staging_;
  const std::string name_;
  const std::string path_;
  std::optional<BlockFile> file_;
  base::Sha256 digest_;
  std::uint64_t size_ = 0;
  bool committed_ = false;
};

// "<label>-<uuid>" and nothing longer: label "a" does not own the staging of "a-b".
bool IsStagingOf(const std::string& name, const std::string& label) {
  return name.starts_with(label + "-") && base::IsUuid(name.substr(label.size() + 1));
}

absl::Status ListBelow(int directory, const std::string& path, const std::string& prefix,
                       std::vector<std::string>& keys) {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(directory, path));
  for (const std::string& name : names) {
    const std::string key = prefix.empty() ? name : prefix + "/" + name;
    if (!ValidateKey(key).ok()) continue;
    struct stat info = {};
    if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(info.st_mode)) keys.push_back(key);
    if (!S_ISDIR(info.st_mode)) continue;
    const auto below = OpenDirectoryBelow(directory, std::span(&name, 1),
                                          MissingDirectories::kError, path + "/" + name);
    // Gone in the meantime: a key was removed while we listed.
    if (absl::IsNotFound(below.status())) continue;
    CALDERA_RETURN_IF_ERROR(below.status());
    CALDERA_RETURN_IF_ERROR(ListBelow(below->get(), path + "/" + name, key, keys));
  }
  return absl::OkStatus();
}

}  // namespace

FileStore::FileStore(std::unique_ptr<StoreRoot> root)
    : directory_(root->directory()), uri_(FileUriOfPath(directory_)), root_(std::move(root)) {}

absl::StatusOr<std::unique_ptr<FileStore>> FileStore::Open(const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(const std::string path, PathOfFileUri(directory));
  CALDERA_ASSIGN_OR_RETURN(std::unique_ptr<StoreRoot> root, StoreRoot::Open(path));
  return std::unique_ptr<FileStore>(new FileStore(std::move(root)));
}

std::string FileStore::ObjectPath(const std::string& sha256) const {
  return directory_ + "/" + ObjectKey(sha256);
}

absl::StatusOr<std::unique_ptr<ObjectWriter>> FileStore::Stage(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  const std::string name = label + "-" + base::NewUuid();
  CALDERA_ASSIGN_OR_RETURN(StoreRoot::Fd root, root_->Get());
  CALDERA_ASSIGN_OR_RETURN(
      base::UniqueFd staging,
      OpenDirectoryBelow(root->get(), std::span(&StagingName(), 1), MissingDirectories::kCreate,
                         directory_ + "/staging"));
  auto writer = std::make_unique<FileWriter>(directory_, std::move(root), std::move(staging), name);
  CALDERA_RETURN_IF_ERROR(writer->Create());
  return writer;
}

absl::Status FileStore::RemoveStaging(const std::string& label) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(label));
  return RemoveStaged(
      [&label](int /*staging*/, const std::string& name) { return IsStagingOf(name, label); });
}

absl::Status FileStore::SweepStaging(absl::Time before) {
  return RemoveStaged([before](int staging, const std::string& name) {
    struct stat info = {};
    return fstatat(staging, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           absl::TimeFromTimespec(info.st_mtim) < before;
  });
}

absl::Status FileStore::RemoveStaged(Choice choice) {
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::string path = directory_ + "/staging";
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd staging,
                           OpenDirectoryBelow(root->get(), std::span(&StagingName(), 1),
                                              MissingDirectories::kCreate, path));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(staging.get(), path));
  for (const std::string& name : names) {
    if (!choice(staging.get(), name)) continue;
    if (unlinkat(staging.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return StoreError(errno, path + "/" + name);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> FileStore::OpenObject(const std::string& sha256) const {
  CALDERA_RETURN_IF_ERROR(ValidateDigest(sha256));
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::string path = ObjectPath(sha256);
  const std::vector<std::string> parts = {"objects", "sha256", sha256.substr(0, 2), sha256};
  return OpenFileBelow(root->get(), parts, path);
}

absl::StatusOr<ObjectInfo> FileStore::StatObject(const std::string& sha256) const {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenObject(sha256));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(fd.get(), ObjectPath(sha256)));
  return ObjectInfo{.sha256 = sha256, .size = size};
}

absl::Status FileStore::ReadObject(const std::string& sha256, std::uint64_t offset,
                                   std::span<std::byte> out) const {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenObject(sha256));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(fd.get(), ObjectPath(sha256)));
  if (offset > size || out.size() > size - offset) {
    return base::OutOfRange("{}: {} bytes from {} asked for, object has {}", ObjectPath(sha256),
                            out.size(), offset, size);
  }
  return base::ReadAllAt(fd.get(), offset, out, ObjectPath(sha256));
}

absl::Status FileStore::VerifyObject(const std::string& sha256) const {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenObject(sha256));
  CALDERA_ASSIGN_OR_RETURN(const std::string digest, DigestOfFd(fd.get(), ObjectPath(sha256)));
  if (digest == sha256) return absl::OkStatus();
  return base::DataLoss("{}: stored bytes have the digest {}", ObjectPath(sha256), digest);
}

absl::Status FileStore::RemoveObject(const std::string& sha256) {
  CALDERA_RETURN_IF_ERROR(OpenObject(sha256).status());
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::vector<std::string> parts = {"objects", "sha256", sha256.substr(0, 2)};
  CALDERA_ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      OpenDirectoryBelow(root->get(), parts, MissingDirectories::kError, ObjectPath(sha256)));
  if (unlinkat(directory.get(), sha256.c_str(), 0) != 0) {
    return StoreError(errno, ObjectPath(sha256));
  }
  return SyncFd(directory.get(), ObjectPath(sha256));
}

absl::Status FileStore::WriteKey(const std::string& key, const std::string& bytes) {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  // RemoveKey tidies up empty directories, possibly the one we are about to rename into.
  constexpr int kAttempts = 10;
  absl::Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    status = TryWriteKey(key, bytes);
    if (!absl::IsNotFound(status)) return status;
  }
  return status;
}

absl::Status FileStore::TryWriteKey(const std::string& key, const std::string& bytes) {
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::string path = directory_ + "/" + key;
  const std::vector<std::string> parts = SplitKey(key);
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd directory,
                           OpenDirectoryBelow(root->get(), std::span(parts).first(parts.size() - 1),
                                              MissingDirectories::kCreate, path));
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd staging,
                           OpenDirectoryBelow(root->get(), std::span(&StagingName(), 1),
                                              MissingDirectories::kCreate, path));
  const std::string staged = "=key-" + base::NewUuid();  // '=': no label can be called so
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd, CreateFileIn(staging.get(), staged, path));
  absl::Status status =
      ToStoreError(base::WriteAll(fd.get(), std::as_bytes(std::span(bytes)), path), path);
  if (status.ok()) status = SyncFd(fd.get(), path);
  if (status.ok() &&
      renameat(staging.get(), staged.c_str(), directory.get(), parts.back().c_str()) != 0) {
    status = errno == EISDIR ? base::FailedPrecondition("{}: other keys lie below it", path)
                             : StoreError(errno, path);
  }
  if (status.ok()) return SyncFd(directory.get(), path);
  unlinkat(staging.get(), staged.c_str(), 0);
  return status;
}

absl::StatusOr<std::string> FileStore::ReadKey(const std::string& key) const {
  CALDERA_RETURN_IF_ERROR(ValidateKey(key));
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::string path = directory_ + "/" + key;
  const std::vector<std::string> parts = SplitKey(key);
  const auto directory = OpenDirectoryBelow(root->get(), std::span(parts).first(parts.size() - 1),
                                            MissingDirectories::kError, path);
  if (absl::IsFailedPrecondition(directory.status()))
    return base::NotFound("{}: no such key", path);
  CALDERA_RETURN_IF_ERROR(directory.status());
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                           OpenFileIn(directory->get(), parts.back(), path));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(fd.get(), path));
  std::string bytes(size, '\0');
  CALDERA_RETURN_IF_ERROR(
      base::ReadAllAt(fd.get(), 0, std::as_writable_bytes(std::span(bytes)), path));
  return bytes;
}

absl::Status FileStore::RemoveKey(const std::string& key) {
  CALDERA_RETURN_IF_ERROR(ReadKey(key).status());
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::vector<std::string> parts = SplitKey(key);
  for (std::size_t depth = parts.size(); depth > 0; --depth) {
    const auto directory = OpenDirectoryBelow(root->get(), std::span(parts).first(depth - 1),
                                              MissingDirectories::kError, directory_ + "/" + key);
    CALDERA_RETURN_IF_ERROR(directory.status());
    const bool is_key = depth == parts.size();
    if (unlinkat(directory->get(), parts[depth - 1].c_str(), is_key ? 0 : AT_REMOVEDIR) != 0) {
      // A directory that still holds other keys stays.
      return is_key ? StoreError(errno, directory_ + "/" + key) : absl::OkStatus();
    }
    CALDERA_RETURN_IF_ERROR(SyncFd(directory->get(), directory_ + "/" + key));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FileStore::ListKeys(const std::string& prefix) const {
  if (!prefix.empty()) CALDERA_RETURN_IF_ERROR(ValidateKey(prefix));
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  std::vector<std::string> keys;
  const std::vector<std::string> parts =
      prefix.empty() ? std::vector<std::string>{} : SplitKey(prefix);
  const std::string path = directory_ + "/" + prefix;
  const auto directory = OpenDirectoryBelow(root->get(), parts, MissingDirectories::kError, path);
  if (absl::IsNotFound(directory.status())) return keys;
  if (absl::IsFailedPrecondition(directory.status())) {
    if (ReadKey(prefix).ok()) keys.push_back(prefix);
    return keys;
  }
  CALDERA_RETURN_IF_ERROR(directory.status());
  CALDERA_RETURN_IF_ERROR(ListBelow(directory->get(), path, prefix, keys));
  std::sort(keys.begin(), keys.end());
  return keys;
}

absl::Status FileStore::Publish(const std::string& sha256, const std::string& output_uri,
                                const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  if (IsS3Uri(output_uri)) return PublishToBucket(sha256, output_uri, file);
  CALDERA_ASSIGN_OR_RETURN(const std::string output, PathOfFileUri(output_uri));
  CALDERA_RETURN_IF_ERROR(OpenObject(sha256).status());
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  const std::vector<std::string> parts = {"objects", "sha256", sha256.substr(0, 2)};
  CALDERA_ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      OpenDirectoryBelow(root->get(), parts, MissingDirectories::kError, ObjectPath(sha256)));
  return PublishFile({directory.get(), sha256}, output, file, PublishBy::kLinkOrCopy);
}

absl::Status FileStore::PublishToBucket(const std::string& sha256, const std::string& output_uri,
                                        const std::string& file) const {
  CALDERA_ASSIGN_OR_RETURN(const ObjectInfo info, StatObject(sha256));
  CALDERA_ASSIGN_OR_RETURN(const S3Location output, ParseS3Uri(output_uri));
  CALDERA_ASSIGN_OR_RETURN(const auto client, MakeS3Client({}));
  const auto read = [&](std::uint64_t offset, std::span<std::byte> out) {
    return ReadObject(sha256, offset, out);
  };
  return PublishToS3(*client, {info, read}, output.Below(file));
}

absl::Status FileStore::PublishBytes(const std::string& bytes, const std::string& output_uri,
                                     const std::string& file) {
  CALDERA_RETURN_IF_ERROR(ValidateKeyPart(file));
  if (IsS3Uri(output_uri)) {
    CALDERA_ASSIGN_OR_RETURN(const S3Location output, ParseS3Uri(output_uri));
    CALDERA_ASSIGN_OR_RETURN(const auto client, MakeS3Client({}));
    return PutObject(*client, output.Below(file), std::as_bytes(std::span(bytes)),
                     IfPresent::kReplace);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string output, PathOfFileUri(output_uri));
  CALDERA_RETURN_IF_ERROR(ToStoreError(base::MakeDirectories(output), output));
  return ToStoreError(base::ReplaceFile(output + "/" + file, bytes), output);
}

absl::StatusOr<std::uint64_t> FileStore::FreeBytes() const {
  CALDERA_ASSIGN_OR_RETURN(const StoreRoot::Fd root, root_->Get());
  struct statvfs info = {};
  if (fstatvfs(root->get(), &info) != 0) return StoreError(errno, directory_);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace caldera::store
