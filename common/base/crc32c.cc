#include "common/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace caldera::base {

std::uint32_t Crc32c(std::span<const std::byte> bytes) { return ExtendCrc32c(0, bytes); }

std::uint32_t Crc32c(const std::string& bytes) { return Crc32c(std::as_bytes(std::span(bytes))); }

std::uint32_t ExtendCrc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
  // ISA-L's crc32_iscsi leaves both exclusive-ors to the caller, takes an int length and, by its
  // signature only, a mutable buffer.
  constexpr std::size_t kMaximumStep = std::size_t{1} << 30;
  std::uint32_t state = ~crc;
  while (!bytes.empty()) {
    const std::size_t step = std::min(bytes.size(), kMaximumStep);
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    state = crc32_iscsi(data, static_cast<int>(step), state);
    bytes = bytes.subspan(step);
  }
  return ~state;
}

}  // namespace caldera::base
