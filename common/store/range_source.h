// A file that is read by range requests: the common part of s3:// and https:// models.
//
// Readers of headers ask for a few bytes here and there, so the first 256 KiB are fetched at once
// and kept, and a reader that goes on where it stopped gets a megabyte ahead. Larger reads go
// straight through. Nothing is written to disk.
#ifndef CALDERA_COMMON_STORE_RANGE_SOURCE_H_
#define CALDERA_COMMON_STORE_RANGE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/model/byte_source.h"

namespace caldera::store {

struct RangeFacts {
  std::uint64_t size = 0;  // of the whole file
  std::string etag;        // "" where the server has none
};

// Fills all of a span that is not empty from an offset; the facts are those of that answer.
using FetchRange =
    std::function<absl::StatusOr<RangeFacts>(std::uint64_t offset, std::span<std::byte> out)>;

// Thread rule: as ByteSource. DATA_LOSS when size or ETag of an answer are not those of `facts`:
// the file was replaced while it was read.
class RangeSource final : public model::ByteSource {
 public:
  RangeSource(std::string name, RangeFacts facts, FetchRange fetch);

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return facts_.size; }
  absl::Status Read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  // Bytes of the file that are in memory.
  struct Window {
    std::uint64_t begin = 0;
    std::vector<std::byte> bytes;
    bool Copy(std::uint64_t offset, std::span<std::byte> out) const;
  };
  absl::Status Fetch(std::uint64_t offset, std::span<std::byte> out) const;
  absl::StatusOr<std::shared_ptr<const Window>> FetchWindow(std::uint64_t begin,
                                                            std::uint64_t bytes) const;
  // The window that serves a read, fetched if that is worth it; null: read straight through.
  absl::StatusOr<std::shared_ptr<const Window>> WindowFor(std::uint64_t offset,
                                                          std::size_t count) const;

  const std::string name_;
  const RangeFacts facts_;
  const FetchRange fetch_;
  mutable base::Mutex mutex_;
  mutable std::shared_ptr<const Window> head_ ABSL_GUARDED_BY(mutex_);
  mutable std::shared_ptr<const Window> ahead_ ABSL_GUARDED_BY(mutex_);
  mutable std::uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;  // where the last read ended
};

// The sources of a file set, each opened once: whoever opens a file again finds what is in memory.
// Thread rule: Open may be called from several threads at once.
class SourceCache {
 public:
  using Opener =
      std::function<absl::StatusOr<std::unique_ptr<model::ByteSource>>(const std::string& file)>;
  // A source of its own for the caller, over the kept one.
  absl::StatusOr<std::unique_ptr<model::ByteSource>> Open(const std::string& file,
                                                          const Opener& opener) const;

 private:
  mutable base::Mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const model::ByteSource>> sources_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::store

#endif  // CALDERA_COMMON_STORE_RANGE_SOURCE_H_
