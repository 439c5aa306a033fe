#include "common/store/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

TEST(Keys, AcceptsPlainParts) {
  for (const std::string& part :
       {std::string("a"), std::string("model-00001.safetensors"), std::string(".hidden"),
        std::string("..."), std::string(200, 'x')}) {
    EXPECT_TRUE(ValidateKeyPart(part).ok()) << part;
  }
}

TEST(Keys, RefusesPartsThatCouldLeaveTheRoot) {
  for (const std::string& part :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("a b"),
        std::string("a\\b"), std::string("\xC3\xA4"), std::string("a\0", 2),
        std::string(201, 'x')}) {
    const absl::Status status = ValidateKeyPart(part);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << part;
    EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(part));
  }
}

TEST(Keys, RefusesOverlongKeys) {
  std::string key = "a";
  while (key.size() <= 1024) key += "/a";
  EXPECT_TRUE(absl::IsInvalidArgument(ValidateKey(key)));
}

TEST(Keys, SplitsAtSlashes) {
  EXPECT_THAT(SplitKey("a"), testing::ElementsAre("a"));
  EXPECT_THAT(SplitKey("a/b/c"), testing::ElementsAre("a", "b", "c"));
  EXPECT_THAT(SplitKey("a/"), testing::ElementsAre("a", ""));
}

TEST(Keys, PrefixesEndAtParts) {
  EXPECT_TRUE(KeyHasPrefix("a/b", ""));
  EXPECT_TRUE(KeyHasPrefix("a/b", "a"));
  EXPECT_TRUE(KeyHasPrefix("a/b", "a/b"));
  EXPECT_FALSE(KeyHasPrefix("a/bc", "a/b"));
  EXPECT_FALSE(KeyHasPrefix("a", "a/b"));
}

TEST(Keys, ObjectsLieInTwoDigitDirectories) {
  const std::string digest = base::Sha256Hex("");
  EXPECT_TRUE(ValidateDigest(digest).ok());
  EXPECT_EQ(ObjectKey(digest), "objects/sha256/e3/" + digest);
  EXPECT_FALSE(ValidateDigest(digest.substr(1)).ok());
}

TEST(Keys, TakesPathsOutOfFileUris) {
  EXPECT_EQ(PathOfFileUri("file:///a/b").value(), "/a/b");
  EXPECT_EQ(PathOfFileUri("/a/b//").value(), "/a/b");
  EXPECT_EQ(PathOfFileUri("/").value(), "/");
  EXPECT_EQ(PathOfFileUri("file:///with space/%20").value(), "/with space/%20");
  for (const std::string bad : {"", "a", "file://", "file://host/a", "http://a", "/a/../b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(PathOfFileUri(bad).status())) << bad;
  }
}

}  // namespace
}  // namespace caldera::store
