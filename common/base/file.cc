#include "common/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "common/base/status.h"
#include "common/base/uuid.h"

namespace caldera::base {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<UniqueFd> Open(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) return ErrnoToStatus(errno, path);
  return fd;
}

absl::StatusOr<struct stat> Stat(int fd, const std::string& path) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return ErrnoToStatus(errno, path);
  if (S_ISDIR(info.st_mode)) return ErrnoToStatus(EISDIR, path);
  return info;
}

std::string DirectoryOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::Status WriteAndSync(const std::string& path, const std::string& bytes) {
  CALDERA_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_EXCL));
  CALDERA_RETURN_IF_ERROR(WriteAll(fd.get(), std::as_bytes(std::span(bytes)), path));
  if (fsync(fd.get()) != 0) return ErrnoToStatus(errno, path);
  return absl::OkStatus();
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, std::uint64_t limit) {
  CALDERA_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  CALDERA_ASSIGN_OR_RETURN(const struct stat info, Stat(fd.get(), path));
  std::string bytes;
  char buffer[1 << 16];
  // Reads to the end rather than st_size: files of /proc say 0.
  if (info.st_size > 0)
    bytes.reserve(std::min<std::uint64_t>(limit, static_cast<std::uint64_t>(info.st_size)));
  while (true) {
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
    if (bytes.size() > limit) return ResourceExhausted("{}: larger than {} bytes", path, limit);
  }
}

absl::Status WriteFile(const std::string& path, const std::string& bytes) {
  CALDERA_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_TRUNC));
  return WriteAll(fd.get(), std::as_bytes(std::span(bytes)), path);
}

absl::Status ReplaceFile(const std::string& path, const std::string& bytes) {
  const std::string staged = path + ".new-" + NewUuid();
  absl::Status status = WriteAndSync(staged, bytes);
  if (status.ok() && rename(staged.c_str(), path.c_str()) != 0) {
    status = ErrnoToStatus(errno, path);
  }
  if (!status.ok()) {
    unlink(staged.c_str());
    return status;
  }
  return SyncDirectory(DirectoryOf(path));
}

absl::Status WriteAll(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status ReadAllAt(int fd, std::uint64_t offset, std::span<std::byte> out,
                       const std::string& path) {
  while (!out.empty()) {
    const ssize_t count = pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path);
    if (count == 0) return OutOfRange("{}: ends at byte {}", path, offset);
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& directory) {
  CALDERA_ASSIGN_OR_RETURN(UniqueFd fd, Open(directory, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return ErrnoToStatus(errno, directory);
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return ErrnoToStatus(error.value(), directory);
  // An existing path that is no directory is no error to create_directories on every platform.
  if (!fs::is_directory(directory, error)) return ErrnoToStatus(ENOTDIR, directory);
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return ErrnoToStatus(error.value(), path);
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> FileSize(const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  CALDERA_ASSIGN_OR_RETURN(const struct stat info, Stat(fd.get(), path));
  return static_cast<std::uint64_t>(info.st_size);
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::StatusOr<TempDirectory> TempDirectory::Create(const std::string& parent) {
  std::error_code error;
  const std::string root = parent.empty() ? fs::temp_directory_path(error).string() : parent;
  if (error) return ErrnoToStatus(error.value(), "the directory for temporary files");
  std::string pattern = root + "/caldera-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return ErrnoToStatus(errno, pattern);
  return TempDirectory(pattern);
}

TempDirectory& TempDirectory::operator=(TempDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TempDirectory::~TempDirectory() {
  if (!path_.empty()) RemoveTree(path_).IgnoreError();
}

}  // namespace caldera::base
