#include "common/base/uuid.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <random>

#include "common/base/check.h"

namespace caldera::base {
namespace {

constexpr std::size_t kUuidBytes = 16;
constexpr std::size_t kUuidLength = 36;

bool IsDash(std::size_t position) {
  return position == 8 || position == 13 || position == 18 || position == 23;
}

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

EntropySource SystemEntropy() {
  return [](std::span<std::byte> out) {
    while (!out.empty()) {
      const ssize_t count = getrandom(out.data(), out.size(), 0);
      CALDERA_CHECK(count > 0 || errno == EINTR, "getrandom failed, errno {}", errno);
      if (count > 0) out = out.subspan(static_cast<std::size_t>(count));
    }
  };
}

EntropySource SeededEntropy(std::uint64_t seed) {
  return [generator = std::mt19937_64(seed)](std::span<std::byte> out) mutable {
    for (std::byte& byte : out) byte = static_cast<std::byte>(generator() >> 56);
  };
}

std::string NewUuid(const EntropySource& entropy) {
  std::array<std::byte, kUuidBytes> bytes;
  entropy(bytes);
  bytes[6] = (bytes[6] & std::byte{0x0F}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3F}) | std::byte{0x80};
  std::string text;
  for (const std::byte byte : bytes) {
    if (IsDash(text.size())) text += '-';
    text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  }
  return text;
}

std::string NewUuid() { return NewUuid(SystemEntropy()); }

bool IsUuid(const std::string& text) {
  if (text.size() != kUuidLength || text[14] != '4') return false;
  if (std::string("89ab").find(text[19]) == std::string::npos) return false;
  for (std::size_t i = 0; i < kUuidLength; ++i) {
    if (IsDash(i) ? text[i] != '-' : !IsLowerHex(text[i])) return false;
  }
  return true;
}

}  // namespace caldera::base
