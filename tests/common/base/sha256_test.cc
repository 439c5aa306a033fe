#include "common/base/sha256.h"

#include <gtest/gtest.h>

namespace caldera::base {
namespace {

// FIPS 180-4 examples.
TEST(Sha256, AgreesWithThePublishedExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnTheCuts) {
  const std::string text(1000, 'q');
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{999}}) {
    Sha256 digest;
    for (std::size_t at = 0; at < text.size(); at += step) digest.Update(text.substr(at, step));
    digest.Update("");
    EXPECT_EQ(digest.HexDigest(), Sha256Hex(text)) << step;
  }
}

TEST(Sha256, KnowsItsTextForm) {
  EXPECT_TRUE(IsSha256Hex(Sha256Hex("x")));
  EXPECT_FALSE(IsSha256Hex(""));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'g')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
}

}  // namespace
}  // namespace caldera::base
