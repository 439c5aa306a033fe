#include "common/store/memory_store.h"

#include <gtest/gtest.h>

#include "common/base/sha256.h"

namespace caldera::store {
namespace {

TEST(MemoryStore, GivesBackTheSpaceOfWhatIsRemoved) {
  MemoryStore store("small", 100);
  const std::string bytes(60, 'x');
  {
    auto writer = store.Stage("a").value();
    ASSERT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
    EXPECT_EQ(store.FreeBytes().value(), 40U);
  }
  EXPECT_EQ(store.FreeBytes().value(), 100U);
  ASSERT_TRUE(store.WriteKey("k", bytes).ok());
  EXPECT_FALSE(store.WriteKey("l", bytes).ok());
  ASSERT_TRUE(store.RemoveKey("k").ok());
  EXPECT_EQ(store.FreeBytes().value(), 100U);
}

TEST(MemoryStore, CountsABlobThatIsPublishedOnce) {
  MemoryStore store("small", 100);
  auto writer = store.Stage("a").value();
  const std::string bytes(60, 'x');
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
  const std::string digest = writer->Commit().value().sha256;
  ASSERT_TRUE(store.Publish(digest, "memory://out", "x").ok());
  EXPECT_EQ(store.FreeBytes().value(), 40U);
  ASSERT_TRUE(store.RemoveObject(digest).ok());
  EXPECT_EQ(store.FreeBytes().value(), 40U);
}

TEST(MemoryStore, AWriterMayOutliveItsStore) {
  auto store = std::make_unique<MemoryStore>("gone");
  auto writer = store->Stage("a").value();
  store.reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Append({})));
  EXPECT_FALSE(writer->Commit().ok());
}

}  // namespace
}  // namespace caldera::store
