#include "common/store/file_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/keys.h"

namespace caldera::store {
namespace {

namespace fs = std::filesystem;

class FileStoreTest : public testing::Test {
 protected:
  std::string Root() const { return directory_.path() + "/store"; }
  std::string Output() const { return directory_.path() + "/output"; }
  std::string Put(const std::string& bytes) {
    auto writer = store_->Stage("put").value();
    EXPECT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
    return writer->Commit().value().sha256;
  }
  static std::size_t FilesIn(const std::string& directory) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }

  base::TempDirectory directory_ = base::TempDirectory::Create().value();
  std::unique_ptr<FileStore> store_ = FileStore::Open(Root()).value();
};

TEST_F(FileStoreTest, LaysFilesOutAsDocumented) {
  const std::string digest = Put("abc");
  ASSERT_TRUE(store_->WriteKey("receipts/x", "r").ok());
  EXPECT_EQ(
      base::ReadFile(Root() + "/objects/sha256/" + digest.substr(0, 2) + "/" + digest).value(),
      "abc");
  EXPECT_EQ(base::ReadFile(Root() + "/receipts/x").value(), "r");
  EXPECT_EQ(FilesIn(Root() + "/staging"), 0U);
}

TEST_F(FileStoreTest, ObjectsAreReadOnly) {
  struct stat info = {};
  ASSERT_EQ(stat(store_->ObjectPath(Put("abc")).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0444U);
}

TEST_F(FileStoreTest, LeavesNoStagingBehindAnAbandonedWriter) {
  {
    auto writer = store_->Stage("attempt-1").value();
    EXPECT_EQ(FilesIn(Root() + "/staging"), 1U);
  }
  EXPECT_EQ(FilesIn(Root() + "/staging"), 0U);
}

TEST_F(FileStoreTest, StagingOfADeadProcessIsRemovedByItsLabel) {
  const std::string name = Root() + "/staging/attempt-1-123e4567-e89b-42d3-a456-426614174000";
  ASSERT_TRUE(base::WriteFile(name, "left over").ok());
  ASSERT_TRUE(store_->RemoveStaging("attempt").ok());
  EXPECT_TRUE(base::Exists(name));
  ASSERT_TRUE(store_->RemoveStaging("attempt-1").ok());
  EXPECT_FALSE(base::Exists(name));
}

TEST_F(FileStoreTest, ASweepTakesWhatNobodyHasWrittenToSince) {
  const std::string old = Root() + "/staging/killed-123e4567-e89b-42d3-a456-426614174000";
  ASSERT_TRUE(base::WriteFile(old, "left over").ok());
  const timespec an_hour_ago = absl::ToTimespec(absl::Now() - absl::Hours(1));
  const timespec times[] = {an_hour_ago, an_hour_ago};
  ASSERT_EQ(utimensat(AT_FDCWD, old.c_str(), times, 0), 0);
  auto writer = store_->Stage("alive").value();

  ASSERT_TRUE(store_->SweepStaging(absl::Now() - absl::Minutes(30)).ok());

  EXPECT_FALSE(base::Exists(old));
  EXPECT_TRUE(writer->Commit().ok());
}

TEST_F(FileStoreTest, PublishesByHardLinkOnOneFileSystem) {
  const std::string digest = Put("abc");
  ASSERT_TRUE(store_->Publish(digest, Output(), "x").ok());
  struct stat object = {};
  struct stat published = {};
  ASSERT_EQ(stat(store_->ObjectPath(digest).c_str(), &object), 0);
  ASSERT_EQ(stat((Output() + "/x").c_str(), &published), 0);
  EXPECT_EQ(object.st_ino, published.st_ino);
}

TEST_F(FileStoreTest, ReopeningFindsWhatWasStored) {
  const std::string digest = Put("abc");
  ASSERT_TRUE(store_->WriteKey("k", "v").ok());
  store_ = FileStore::Open(Root()).value();
  EXPECT_TRUE(store_->VerifyObject(digest).ok());
  EXPECT_EQ(store_->ReadKey("k").value(), "v");
}

TEST_F(FileStoreTest, HealsAnObjectOfAnotherSize) {
  const std::string digest = Put("abcdef");
  fs::permissions(store_->ObjectPath(digest), fs::perms::owner_all);
  fs::resize_file(store_->ObjectPath(digest), 3);
  EXPECT_TRUE(absl::IsDataLoss(store_->VerifyObject(digest)));
  EXPECT_EQ(Put("abcdef"), digest);
  EXPECT_TRUE(store_->VerifyObject(digest).ok());
}

TEST_F(FileStoreTest, FollowsNoSymbolicLinkOutOfTheRoot) {
  const std::string outside = directory_.path() + "/outside";
  ASSERT_TRUE(base::MakeDirectories(outside).ok());
  ASSERT_TRUE(base::WriteFile(outside + "/secret", "secret").ok());
  fs::create_directory_symlink(outside, Root() + "/link");
  fs::create_symlink(outside + "/secret", Root() + "/file");
  EXPECT_TRUE(absl::IsNotFound(store_->ReadKey("link/secret").status()));
  EXPECT_TRUE(absl::IsNotFound(store_->ReadKey("file").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->WriteKey("link/new", "x")));
  EXPECT_FALSE(base::Exists(outside + "/new"));
  EXPECT_THAT(store_->ListKeys("").value(), testing::IsEmpty());
  ASSERT_TRUE(store_->WriteKey("file", "replaced").ok());
  EXPECT_EQ(base::ReadFile(outside + "/secret").value(), "secret");
}

TEST_F(FileStoreTest, AnObjectDirectoryThatIsALinkIsRefused) {
  const std::string digest = base::Sha256Hex("abc");
  const std::string outside = directory_.path() + "/outside";
  ASSERT_TRUE(base::MakeDirectories(outside).ok());
  fs::create_directory_symlink(outside, Root() + "/objects/sha256/" + digest.substr(0, 2));
  auto writer = store_->Stage("x").value();
  const std::string bytes = "abc";
  ASSERT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Commit().status()));
  EXPECT_EQ(FilesIn(outside), 0U);
}

TEST_F(FileStoreTest, APublishedNameThatIsALinkIsNotWrittenThrough) {
  const std::string digest = Put("abc");
  ASSERT_TRUE(base::MakeDirectories(Output()).ok());
  fs::create_symlink(directory_.path() + "/elsewhere", Output() + "/x");
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Publish(digest, Output(), "x")));
  EXPECT_FALSE(base::Exists(directory_.path() + "/elsewhere"));
}

}  // namespace
}  // namespace caldera::store
