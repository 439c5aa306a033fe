#include "common/store/safe_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// O_NONBLOCK: a FIFO planted under the name must not block the open.
constexpr int kFileFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

absl::Status StepError(int error_number, const std::string& part, const std::string& name) {
  // O_DIRECTORY | O_NOFOLLOW on a symbolic link gives ENOTDIR or ELOOP, by kernel.
  if (error_number == ENOTDIR || error_number == ELOOP) {
    return base::FailedPrecondition("{}: \"{}\" is not a directory", name, part);
  }
  return StoreError(error_number, name);
}

absl::StatusOr<base::UniqueFd> Step(int parent, const std::string& part, MissingDirectories missing,
                                    const std::string& name) {
  base::UniqueFd next(openat(parent, part.c_str(), kDirectoryFlags));
  if (next) return next;
  if (errno != ENOENT || missing == MissingDirectories::kError) {
    return StepError(errno, part, name);
  }
  if (mkdirat(parent, part.c_str(), 0755) != 0 && errno != EEXIST) {
    return StoreError(errno, name);
  }
  CALDERA_RETURN_IF_ERROR(SyncFd(parent, name));
  next = base::UniqueFd(openat(parent, part.c_str(), kDirectoryFlags));
  if (!next) return StepError(errno, part, name);
  return next;
}

// The whole way in one call where the kernel can (Linux 5.6): it refuses symbolic links in every
// part, and "..". Nothing on any error: the walk part by part finds out which.
base::UniqueFd OpenAtOnce(int root, std::span<const std::string> parts, int flags) {
  std::string path = ".";
  for (const std::string& part : parts) path += "/" + part;
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return base::UniqueFd(
      static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
}

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};

}  // namespace

absl::StatusOr<base::UniqueFd> OpenDirectoryBelow(int root, std::span<const std::string> parts,
                                                  MissingDirectories missing,
                                                  const std::string& name) {
  base::UniqueFd directory = OpenAtOnce(root, parts, kDirectoryFlags);
  if (directory) return directory;
  directory = base::UniqueFd(openat(root, ".", kDirectoryFlags));
  if (!directory) return StoreError(errno, name);
  for (const std::string& part : parts) {
    CALDERA_ASSIGN_OR_RETURN(directory, Step(directory.get(), part, missing, name));
  }
  return directory;
}

absl::StatusOr<base::UniqueFd> OpenFileIn(int directory, const std::string& file,
                                          const std::string& name) {
  base::UniqueFd fd(openat(directory, file.c_str(), kFileFlags));
  if (!fd && errno != ELOOP) return StoreError(errno, name);
  struct stat info = {};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return base::NotFound("{}: not a regular file", name);
  }
  return fd;
}

absl::StatusOr<base::UniqueFd> OpenFileBelow(int root, std::span<const std::string> parts,
                                             const std::string& name) {
  base::UniqueFd fd = OpenAtOnce(root, parts, kFileFlags);
  struct stat info = {};
  if (fd && fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode)) return fd;
  CALDERA_ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      OpenDirectoryBelow(root, parts.first(parts.size() - 1), MissingDirectories::kError, name));
  return OpenFileIn(directory.get(), parts.back(), name);
}

absl::StatusOr<base::UniqueFd> CreateFileIn(int directory, const std::string& file,
                                            const std::string& name) {
  base::UniqueFd fd(
      openat(directory, file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd) return StoreError(errno, name);
  return fd;
}

absl::Status SyncFd(int fd, const std::string& name) {
  if (fsync(fd) != 0) return StoreError(errno, name);
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> SizeOfFd(int fd, const std::string& name) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return StoreError(errno, name);
  return static_cast<std::uint64_t>(info.st_size);
}

absl::StatusOr<std::string> DigestOfFd(int fd, const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOfFd(fd, name));
  base::Sha256 digest;
  std::vector<std::byte> buffer(std::clamp<std::uint64_t>(size, 1, kBufferBytes));
  off_t offset = 0;
  while (true) {
    const ssize_t count = pread(fd, buffer.data(), buffer.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return StoreError(errno, name);
    if (count == 0) return digest.HexDigest();
    digest.Update(std::span(buffer).first(static_cast<std::size_t>(count)));
    offset += count;
  }
}

absl::StatusOr<std::vector<std::string>> NamesIn(int directory, const std::string& name) {
  const int copy = openat(directory, ".", kDirectoryFlags);
  if (copy < 0) return StoreError(errno, name);
  const std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(copy));
  if (!stream) {
    close(copy);
    return StoreError(errno, name);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string found = entry->d_name;
    if (found != "." && found != "..") names.push_back(found);
  }
  if (errno != 0) return StoreError(errno, name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace caldera::store
