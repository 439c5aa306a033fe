// A file written from its start to its end, in blocks and behind the caller.
//
// Whole blocks go past the page cache (O_DIRECT) where the file system can: an object is written
// once, synced, and seldom read soon, and the copy into the cache costs as much as its digest.
// What is smaller than a block is written through the cache.
#ifndef CALDERA_COMMON_STORE_BLOCK_FILE_H_
#define CALDERA_COMMON_STORE_BLOCK_FILE_H_

#include <array>
#include <cstddef>
#include <cstdlib>
#include <future>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "common/base/file.h"

namespace caldera::store {

// One thread at a time. Holds two blocks of memory, from its first byte and its first whole block
// on. Errors are those of store_error.h and name `path`; after one every call returns it again.
class BlockFile {
 public:
  static constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

  // An empty file, open for writing.
  BlockFile(base::UniqueFd file, std::string path);

  // Takes a copy. An error may be that of earlier bytes.
  absl::Status Append(std::span<const std::byte> bytes);
  // Writes what is left, and fsyncs. Nothing may be appended afterwards.
  absl::Status Finish();

  int fd() const { return file_.get(); }

 private:
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  using Block = std::unique_ptr<std::byte, Free>;

  absl::Status WriteBehind();
  absl::Status AwaitWritten();
  absl::Status WriteNow(std::span<const std::byte> bytes) const;

  const base::UniqueFd file_;
  const std::string path_;
  std::array<Block, 2> blocks_;
  int filling_ = 0;         // index of the block that Append fills
  std::size_t filled_ = 0;  // bytes of it
  absl::Status broken_;
  std::future<absl::Status> writing_;  // of the other block; the last member: it uses the others
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_BLOCK_FILE_H_
