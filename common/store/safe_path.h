// Paths below a root, walked part by part without following a single symbolic link.
//
// openat2(RESOLVE_NO_SYMLINKS) would be one call but older kernels and some containers lack it. All
// descriptors returned are of directories, close-on-exec; errors name `name`.
#ifndef CALDERA_COMMON_STORE_SAFE_PATH_H_
#define CALDERA_COMMON_STORE_SAFE_PATH_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"

namespace caldera::store {

enum class MissingDirectories { kError, kCreate };

// Opens the directory `parts` below `root`. With kCreate missing ones are made and their parents
// fsynced. FAILED_PRECONDITION when a part is a file or a symbolic link.
absl::StatusOr<base::UniqueFd> OpenDirectoryBelow(int root, std::span<const std::string> parts,
                                                  MissingDirectories missing,
                                                  const std::string& name);

// Opens a regular file of `directory` for reading; NOT_FOUND for anything else under that name.
absl::StatusOr<base::UniqueFd> OpenFileIn(int directory, const std::string& file,
                                          const std::string& name);

// The same for the file that the last of `parts` names, in the directory of the others.
// Precondition: `parts` is not empty.
absl::StatusOr<base::UniqueFd> OpenFileBelow(int root, std::span<const std::string> parts,
                                             const std::string& name);

// Creates a file that must not exist, for writing.
absl::StatusOr<base::UniqueFd> CreateFileIn(int directory, const std::string& file,
                                            const std::string& name);

absl::Status SyncFd(int fd, const std::string& name);
absl::StatusOr<std::uint64_t> SizeOfFd(int fd, const std::string& name);

// SHA-256 of the whole file.
absl::StatusOr<std::string> DigestOfFd(int fd, const std::string& name);

// The names in a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> NamesIn(int directory, const std::string& name);

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_SAFE_PATH_H_
