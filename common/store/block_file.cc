#include "common/store/block_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/store/safe_path.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

// What O_DIRECT asks of addresses, on every disk in use.
constexpr std::size_t kAlignment = 4096;

bool SetDirect(int fd, bool direct) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

bool IsDirect(int fd) { return (fcntl(fd, F_GETFL) & O_DIRECT) != 0; }

}  // namespace

BlockFile::BlockFile(base::UniqueFd file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {
  SetDirect(file_.get(), true);  // some file systems cannot; they are written through the cache
}

absl::Status BlockFile::Append(std::span<const std::byte> bytes) {
  while (broken_.ok() && !bytes.empty()) {
    Block& block = blocks_[filling_];
    if (block == nullptr) {
      block.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kBlockBytes)));
      CALDERA_CHECK(block != nullptr, "no memory for a block");
    }
    const std::size_t count = std::min(bytes.size(), kBlockBytes - filled_);
    std::memcpy(block.get() + filled_, bytes.data(), count);
    filled_ += count;
    bytes = bytes.subspan(count);
    if (filled_ == kBlockBytes) broken_ = WriteBehind();
  }
  return broken_;
}

absl::Status BlockFile::Finish() {
  if (broken_.ok()) broken_ = AwaitWritten();
  if (broken_.ok() && filled_ > 0) {
    SetDirect(file_.get(), false);
    broken_ = WriteNow({blocks_[filling_].get(), std::exchange(filled_, 0)});
  }
  if (broken_.ok()) broken_ = SyncFd(file_.get(), path_);
  return broken_;
}

absl::Status BlockFile::WriteBehind() {
  CALDERA_RETURN_IF_ERROR(AwaitWritten());
  const std::span<const std::byte> bytes(blocks_[filling_].get(), std::exchange(filled_, 0));
  // Deferred where no thread is to be had.
  writing_ = std::async(std::launch::async | std::launch::deferred,
                        [this, bytes] { return WriteNow(bytes); });
  filling_ = 1 - filling_;
  return absl::OkStatus();
}

absl::Status BlockFile::AwaitWritten() {
  return writing_.valid() ? writing_.get() : absl::OkStatus();
}

absl::Status BlockFile::WriteNow(std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = write(file_.get(), bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno == EINVAL && IsDirect(file_.get())) {
      // Opened, but not written that way; or the rest of a short write has no whole sectors.
      SetDirect(file_.get(), false);
    } else if (errno != EINTR) {
      return StoreError(errno, path_);
    }
  }
  return absl::OkStatus();
}

}  // namespace caldera::store
