#include "common/store/store_root.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/safe_path.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

constexpr char kIdFile[] = "id";
constexpr std::size_t kIdBytes = 36;  // of a UUID

absl::StatusOr<base::UniqueFd> OpenRoot(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return StoreError(errno, path);
  return fd;
}

absl::StatusOr<base::UniqueFd> OpenObjects(int root, MissingDirectories missing,
                                           const std::string& path) {
  const std::string objects = "objects";
  return OpenDirectoryBelow(root, std::span(&objects, 1), missing, path);
}

// NOT_FOUND in a directory that is no store.
absl::StatusOr<std::string> ReadId(int root, const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd objects,
                           OpenObjects(root, MissingDirectories::kError, path));
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd file, OpenFileIn(objects.get(), kIdFile, path));
  std::string id(kIdBytes, '\0');
  CALDERA_RETURN_IF_ERROR(base::ReadAllAt(file.get(), 0, std::as_writable_bytes(std::span(id)),
                                          path + "/objects/" + kIdFile));
  return id;
}

// By link: of several processes that make the same store at once, one wins.
absl::Status WriteId(int root, const std::string& path) {
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd objects,
                           OpenObjects(root, MissingDirectories::kCreate, path));
  const std::string id = base::NewUuid();
  const std::string staged = ".id-" + id;
  CALDERA_ASSIGN_OR_RETURN(const base::UniqueFd file, CreateFileIn(objects.get(), staged, path));
  absl::Status status = base::WriteAll(file.get(), std::as_bytes(std::span(id)), path);
  if (status.ok()) status = SyncFd(file.get(), path);
  const bool linked =
      status.ok() && linkat(objects.get(), staged.c_str(), objects.get(), kIdFile, 0) == 0;
  if (status.ok() && !linked && errno != EEXIST) status = StoreError(errno, path);
  unlinkat(objects.get(), staged.c_str(), 0);
  CALDERA_RETURN_IF_ERROR(ToStoreError(status, path));
  return SyncFd(objects.get(), path);
}

// Whether `fd` is the directory that lies under `path` now.
bool IsSame(const struct stat& now, int fd) {
  struct stat opened = {};
  return fstat(fd, &opened) == 0 && opened.st_dev == now.st_dev && opened.st_ino == now.st_ino;
}

}  // namespace

StoreRoot::StoreRoot(std::string directory, std::string id, Fd fd)
    : directory_(std::move(directory)), id_(std::move(id)), fd_(std::move(fd)) {}

absl::StatusOr<std::unique_ptr<StoreRoot>> StoreRoot::Open(const std::string& directory) {
  CALDERA_RETURN_IF_ERROR(ToStoreError(base::MakeDirectories(directory), directory));
  CALDERA_ASSIGN_OR_RETURN(base::UniqueFd root, OpenRoot(directory));
  for (const std::vector<std::string>& parts :
       {std::vector<std::string>{"staging"}, std::vector<std::string>{"objects", "sha256"}}) {
    CALDERA_RETURN_IF_ERROR(
        OpenDirectoryBelow(root.get(), parts, MissingDirectories::kCreate, directory).status());
  }
  absl::StatusOr<std::string> id = ReadId(root.get(), directory);
  if (absl::IsNotFound(id.status())) {
    CALDERA_RETURN_IF_ERROR(WriteId(root.get(), directory));
    id = ReadId(root.get(), directory);
  }
  CALDERA_RETURN_IF_ERROR(id.status());
  return std::unique_ptr<StoreRoot>(
      new StoreRoot(directory, *id, std::make_shared<const base::UniqueFd>(std::move(root))));
}

absl::StatusOr<StoreRoot::Fd> StoreRoot::Get() const {
  struct stat now = {};
  if (stat(directory_.c_str(), &now) != 0) {
    return base::Unavailable("store {}: not there: {}", directory_, std::strerror(errno));
  }
  const base::MutexLock lock(mutex_);
  if (IsSame(now, fd_->get())) return fd_;
  CALDERA_ASSIGN_OR_RETURN(base::UniqueFd other, OpenRoot(directory_));
  const absl::StatusOr<std::string> id = ReadId(other.get(), directory_);
  if (!id.ok() || *id != id_) {
    return base::Unavailable(
        "store {}: another directory lies there now (is its file system mounted?)", directory_);
  }
  fd_ = std::make_shared<const base::UniqueFd>(std::move(other));
  return fd_;
}

}  // namespace caldera::store
