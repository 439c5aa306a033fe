#include "common/model/gguf_cursor.h"

#include <algorithm>

namespace caldera::model {
namespace {

constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 20;

}  // namespace

absl::Status GgufCursor::EndsEarly(std::uint64_t wanted) const {
  return base::InvalidArgument("{}: {} bytes at {} run past the end of the file", source_.name(),
                               wanted, position_);
}

absl::Status GgufCursor::Fill(std::span<std::byte> out) {
  if (out.size() > remaining()) return EndsEarly(out.size());
  for (std::size_t done = 0; done < out.size();) {
    std::uint64_t at = position_ - window_start_;
    if (position_ < window_start_ || at >= window_.size()) {
      window_.resize(static_cast<std::size_t>(std::min(kWindowBytes, remaining())));
      window_start_ = position_;
      CALDERA_RETURN_IF_ERROR(source_.Read(window_start_, window_));
      at = 0;
    }
    const auto offset = static_cast<std::size_t>(at);
    const std::size_t count = std::min(out.size() - done, window_.size() - offset);
    std::memcpy(out.data() + done, window_.data() + offset, count);
    done += count;
    position_ += count;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> GgufCursor::String() {
  CALDERA_ASSIGN_OR_RETURN(const auto length, Number<std::uint64_t>());
  if (length > remaining()) return EndsEarly(length);
  std::string text(static_cast<std::size_t>(length), '\0');
  CALDERA_RETURN_IF_ERROR(Fill(std::as_writable_bytes(std::span(text))));
  return text;
}

absl::StatusOr<std::uint64_t> GgufCursor::Count(std::uint64_t item_bytes) {
  CALDERA_ASSIGN_OR_RETURN(const auto count, Number<std::uint64_t>());
  if (count <= remaining() / item_bytes) return count;
  return base::InvalidArgument("{}: {} items at {} run past the end of the file", source_.name(),
                               count, position_);
}

}  // namespace caldera::model
