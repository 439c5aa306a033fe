#include "common/base/uuid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace caldera::base {
namespace {

TEST(Uuid, HasTheFormOfVersionFour) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(IsUuid(NewUuid()));
}

TEST(Uuid, SetsVersionAndVariantWhateverTheEntropy) {
  const auto constant = [](std::byte value) {
    return [value](std::span<std::byte> out) { std::fill(out.begin(), out.end(), value); };
  };
  EXPECT_EQ(NewUuid(constant(std::byte{0})), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(NewUuid(constant(std::byte{0xFF})), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST(Uuid, FollowsTheSeed) {
  const EntropySource first = SeededEntropy(1);
  const EntropySource same = SeededEntropy(1);
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string uuid = NewUuid(first);
    EXPECT_EQ(uuid, NewUuid(same));
    EXPECT_TRUE(seen.insert(uuid).second);
  }
  EXPECT_NE(NewUuid(SeededEntropy(1)), NewUuid(SeededEntropy(2)));
}

TEST(Uuid, RefusesOtherTexts) {
  const std::string good = "123e4567-e89b-42d3-a456-426614174000";
  EXPECT_TRUE(IsUuid(good));
  EXPECT_FALSE(IsUuid(""));
  EXPECT_FALSE(IsUuid(good + "0"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'X';
    EXPECT_FALSE(IsUuid(bad)) << i;
  }
  EXPECT_FALSE(IsUuid("123e4567-e89b-12d3-a456-426614174000"));
  EXPECT_FALSE(IsUuid("123e4567-e89b-42d3-c456-426614174000"));
}

}  // namespace
}  // namespace caldera::base
