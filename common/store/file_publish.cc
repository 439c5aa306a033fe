#include "common/store/file_publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/safe_path.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

// Where the file goes: an open directory, the name in it, and both as text for messages.
struct Target {
  int directory;
  const std::string& file;
  std::string path;
};

// OK when the name is taken by the same bytes.
absl::Status AcceptSameBytes(const std::string& sha256, const Target& target) {
  auto existing = OpenFileIn(target.directory, target.file, target.path);
  if (existing.ok()) {
    CALDERA_ASSIGN_OR_RETURN(const std::string digest, DigestOfFd(existing->get(), target.path));
    if (digest == sha256) return absl::OkStatus();
  }
  return base::AlreadyExists("{}: exists with other content", target.path);
}

absl::Status CopyBytes(const ObjectBytes& object, int out, const std::string& path) {
  CALDERA_RETURN_IF_ERROR(ReadWhole(object, [&](std::span<const std::byte> bytes) {
    return ToStoreError(base::WriteAll(out, bytes, path), path);
  }));
  if (fchmod(out, 0444) != 0) return StoreError(errno, path);
  return SyncFd(out, path);
}

// Renames without replacing. File systems without RENAME_NOREPLACE (old NFS) get a check first: two
// publishers of one name then race, but both carry the bytes of the same job.
absl::Status RenameNew(const std::string& staged, const Target& target, const std::string& sha256) {
  const int directory = target.directory;
  const char* name = target.file.c_str();
  if (renameat2(directory, staged.c_str(), directory, name, RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  if (errno == EINVAL || errno == ENOSYS) {
    if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
        renameat(directory, staged.c_str(), directory, name) == 0) {
      return absl::OkStatus();
    }
    errno = EEXIST;
  }
  const int rename_error = errno;
  unlinkat(directory, staged.c_str(), 0);
  if (rename_error == EEXIST) return AcceptSameBytes(sha256, target);
  return StoreError(rename_error, target.path);
}

absl::Status CopyToTarget(const ObjectBytes& object, const Target& target) {
  if (faccessat(target.directory, target.file.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return AcceptSameBytes(object.info.sha256, target);
  }
  const std::string staged = target.file + ".new-" + base::NewUuid();
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd out,
                           CreateFileIn(target.directory, staged, target.path));
  const absl::Status copied = CopyBytes(object, out.get(), target.path);
  if (!copied.ok()) {
    unlinkat(target.directory, staged.c_str(), 0);
    return copied;
  }
  return RenameNew(staged, target, object.info.sha256);
}

absl::Status CopyFile(const ObjectFile& object, const Target& target) {
  const std::string name = "object " + object.sha256;
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd in,
                           OpenFileIn(object.directory, object.sha256, name));
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(in.get(), name));
  const auto read = [&](std::uint64_t offset, std::span<std::byte> out) {
    return base::ReadAllAt(in.get(), offset, out, name);
  };
  return CopyToTarget({{object.sha256, size}, read}, target);
}

bool MeansCopy(int error_number) {
  return error_number == EXDEV || error_number == EPERM || error_number == EMLINK ||
         error_number == EOPNOTSUPP || error_number == ENOSYS;
}

absl::Status LinkOrCopy(const ObjectFile& object, const Target& target) {
  if (linkat(object.directory, object.sha256.c_str(), target.directory, target.file.c_str(), 0) ==
      0) {
    return absl::OkStatus();
  }
  if (errno == EEXIST) return AcceptSameBytes(object.sha256, target);
  if (MeansCopy(errno)) return CopyFile(object, target);
  return StoreError(errno, target.path);
}

// Opens the directory, made where missing, and lets `give` put the file there.
absl::Status PublishInto(const std::string& output_directory, const std::string& file,
                         const std::function<absl::Status(const Target&)>& give) {
  const bool created = !base::Exists(output_directory);
  CALDERA_RETURN_IF_ERROR(ToStoreError(base::MakeDirectories(output_directory), output_directory));
  if (created) {
    const auto parent = std::filesystem::path(output_directory).parent_path();
    CALDERA_RETURN_IF_ERROR(base::SyncDirectory(parent.string()));
  }
  const base::UniqueFd directory(
      open(output_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return StoreError(errno, output_directory);
  CALDERA_RETURN_IF_ERROR(give({directory.get(), file, output_directory + "/" + file}));
  return SyncFd(directory.get(), output_directory);
}

}  // namespace

absl::Status PublishFile(const ObjectFile& object, const std::string& output_directory,
                         const std::string& file, PublishBy by) {
  return PublishInto(output_directory, file, [&](const Target& target) {
    return by == PublishBy::kCopy ? CopyFile(object, target) : LinkOrCopy(object, target);
  });
}

absl::Status PublishCopy(const ObjectBytes& object, const std::string& output_directory,
                         const std::string& file) {
  return PublishInto(output_directory, file,
                     [&](const Target& target) { return CopyToTarget(object, target); });
}

}  // namespace caldera::store
