#include "common/store/file_publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/safe_path.h"

namespace caldera::store {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

// Where the file goes: an open directory, the name in it, and both as text for messages.
struct Target {
  int directory;
  const std::string& file;
  std::string path;
};

// OK when the name is taken by the same bytes.
absl::Status AcceptSameBytes(const ObjectFile& object, const Target& target) {
  auto existing = OpenFileIn(target.directory, target.file, target.path);
  if (existing.ok()) {
    CALDERA_ASSIGN_OR_RETURN(const std::string digest, DigestOfFd(existing->get(), target.path));
    if (digest == object.sha256) return absl::OkStatus();
  }
  return base::AlreadyExists("{}: exists with other content", target.path);
}

absl::Status CopyBytes(const ObjectFile& object, int out, const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd in,
                           OpenFileIn(object.directory, object.sha256, "object " + object.sha256));
  base::Sha256 digest;
  std::vector<std::byte> buffer(kBufferBytes);
  while (true) {
    const ssize_t count = read(in.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoToStatus(errno, "object " + object.sha256);
    if (count == 0) break;
    const auto bytes = std::span<const std::byte>(buffer).first(static_cast<std::size_t>(count));
    digest.Update(bytes);
    CALDERA_RETURN_IF_ERROR(base::WriteAll(out, bytes, path));
  }
  if (digest.HexDigest() != object.sha256) {
    return base::DataLoss("object {}: stored bytes do not match the digest", object.sha256);
  }
  if (fchmod(out, 0444) != 0) return base::ErrnoToStatus(errno, path);
  return SyncFd(out, path);
}

// Renames without replacing. File systems without RENAME_NOREPLACE (old NFS) get a check first: two
// publishers of one name then race, but both carry the bytes of the same job.
absl::Status RenameNew(const std::string& staged, const Target& target, const ObjectFile& object) {
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
  if (rename_error == EEXIST) return AcceptSameBytes(object, target);
  return base::ErrnoToStatus(rename_error, target.path);
}

absl::Status CopyObject(const ObjectFile& object, const Target& target) {
  if (faccessat(target.directory, target.file.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return AcceptSameBytes(object, target);
  }
  const std::string staged = target.file + ".new-" + base::NewUuid();
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd out,
                           CreateFileIn(target.directory, staged, target.path));
  const absl::Status copied = CopyBytes(object, out.get(), target.path);
  if (!copied.ok()) {
    unlinkat(target.directory, staged.c_str(), 0);
    return copied;
  }
  return RenameNew(staged, target, object);
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
  if (errno == EEXIST) return AcceptSameBytes(object, target);
  if (MeansCopy(errno)) return CopyObject(object, target);
  return base::ErrnoToStatus(errno, target.path);
}

}  // namespace

absl::Status PublishFile(const ObjectFile& object, const std::string& output_directory,
                         const std::string& file, PublishBy by) {
  const bool created = !base::Exists(output_directory);
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(output_directory));
  if (created) {
    const auto parent = std::filesystem::path(output_directory).parent_path();
    CALDERA_RETURN_IF_ERROR(base::SyncDirectory(parent.string()));
  }
  const base::UniqueFd directory(
      open(output_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return base::ErrnoToStatus(errno, output_directory);
  const Target target{directory.get(), file, output_directory + "/" + file};
  CALDERA_RETURN_IF_ERROR(by == PublishBy::kCopy ? CopyObject(object, target)
                                                 : LinkOrCopy(object, target));
  return SyncFd(directory.get(), output_directory);
}

}  // namespace caldera::store
