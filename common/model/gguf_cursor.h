// Sequential reading of a byte source with every length checked before memory is taken.
#ifndef CALDERA_COMMON_MODEL_GGUF_CURSOR_H_
#define CALDERA_COMMON_MODEL_GGUF_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "common/model/byte_source.h"

namespace caldera::model {

// Reads forward through a window of up to 1 MiB, so small fields of a remote file cost no round
// trip each. One thread at a time. Errors: INVALID_ARGUMENT naming source and position when the
// source ends before what is asked for.
class GgufCursor {
 public:
  explicit GgufCursor(const ByteSource& source) : source_(source) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return source_.size() - position_; }

  // A little-endian number.
  template <typename T>
  absl::StatusOr<T> Number() {
    T value;
    CALDERA_RETURN_IF_ERROR(Fill(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  // u64 length, then bytes.
  absl::StatusOr<std::string> String();
  // A u64 count of items that take at least `item_bytes` each in what remains.
  absl::StatusOr<std::uint64_t> Count(std::uint64_t item_bytes);

 private:
  absl::Status Fill(std::span<std::byte> out);
  absl::Status EndsEarly(std::uint64_t wanted) const;

  const ByteSource& source_;
  std::uint64_t position_ = 0;
  std::vector<std::byte> window_;  // bytes [window_start_, window_start_ + size) of the source
  std::uint64_t window_start_ = 0;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_GGUF_CURSOR_H_
