#include "common/base/crc32c.h"

#include <gtest/gtest.h>

namespace caldera::base {
namespace {

// Bit by bit, from the reversed polynomial 0x82F63B78.
std::uint32_t PlainCrc32c(const std::string& bytes) {
  std::uint32_t state = ~0U;
  for (const char byte : bytes) {
    state ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? 0x82F63B78U : 0U);
  }
  return ~state;
}

TEST(Crc32c, AgreesWithTheCheckValueAndRfc3720) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
}

TEST(Crc32c, AgreesWithThePlainLoopAtEveryLength) {
  std::string bytes;
  for (int length = 0; length < 300; ++length) {
    EXPECT_EQ(Crc32c(bytes), PlainCrc32c(bytes)) << length;
    bytes += static_cast<char>(length * 37 + 11);
  }
}

TEST(Crc32c, ExtendsOverAnyCut) {
  const std::string text = "the quick brown fox";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string tail = text.substr(cut);
    EXPECT_EQ(ExtendCrc32c(Crc32c(text.substr(0, cut)), std::as_bytes(std::span(tail))),
              Crc32c(text));
  }
}

}  // namespace
}  // namespace caldera::base
