// Small files whole, and the steps that make a write survive a crash.
//
// Paths are plain strings. Errors are ErrnoToStatus with the path in the message. All functions are
// thread-safe as far as the file system is.
#ifndef CALDERA_COMMON_BASE_FILE_H_
#define CALDERA_COMMON_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::base {

// An open file descriptor, closed when it goes. -1 means none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// The whole file. Meant for small ones: RESOURCE_EXHAUSTED beyond `limit` bytes.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     std::uint64_t limit = std::uint64_t{1} << 30);
// Creates or truncates. Not crash-safe: for scratch and tests; otherwise ReplaceFile.
absl::Status WriteFile(const std::string& path, const std::string& bytes);
// Writes beside `path`, fsyncs, renames over it and fsyncs the directory: after a crash at any
// moment `path` holds either the old or the new bytes, whole.
absl::Status ReplaceFile(const std::string& path, const std::string& bytes);

// Writes all of `bytes` at the descriptor's position, over short writes and EINTR.
absl::Status WriteAll(int fd, std::span<const std::byte> bytes, const std::string& path);
// Fills all of `out` from `offset`; OUT_OF_RANGE when the file ends first.
absl::Status ReadAllAt(int fd, std::uint64_t offset, std::span<std::byte> out,
                       const std::string& path);
absl::Status SyncDirectory(const std::string& directory);

// Creates the directory and its missing parents (mode 0755). OK when it exists.
absl::Status MakeDirectories(const std::string& directory);
// Removes file or directory with all it holds; OK when there is nothing. Symbolic links are
// removed, not followed.
absl::Status RemoveTree(const std::string& path);
absl::StatusOr<std::uint64_t> FileSize(const std::string& path);
bool Exists(const std::string& path);

// A fresh directory, removed with all it holds at the end of its life. Movable.
class TempDirectory {
 public:
  // Below `parent`, or below $TMPDIR (else the system's default) when empty.
  static absl::StatusOr<TempDirectory> Create(const std::string& parent = "");
  TempDirectory(TempDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TempDirectory& operator=(TempDirectory&& other) noexcept;
  ~TempDirectory();
  const std::string& path() const { return path_; }

 private:
  explicit TempDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_FILE_H_
