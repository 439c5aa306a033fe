#include "common/store/store_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/status.h"
#include "common/store/file_store.h"
#include "common/store/store_error.h"

namespace caldera::store {
namespace {

using testing::HasSubstr;

std::vector<std::byte> Bytes(std::size_t size) { return std::vector<std::byte>(size); }

absl::StatusOr<ObjectInfo> Put(FileStore& store, std::size_t size) {
  CALDERA_ASSIGN_OR_RETURN(const auto writer, store.Stage("test"));
  CALDERA_RETURN_IF_ERROR(writer->Append(Bytes(size)));
  return writer->Commit();
}

class StoreRootTest : public testing::Test {
 protected:
  StoreRootTest() : store_(FileStore::Open(path_).value()) {}
  void Move(const std::string& from, const std::string& to) { std::filesystem::rename(from, to); }

  const base::TempDirectory directory_ = base::TempDirectory::Create().value();
  const std::string path_ = directory_.path() + "/store";
  const std::string elsewhere_ = directory_.path() + "/elsewhere";
  const std::unique_ptr<FileStore> store_;
};

TEST_F(StoreRootTest, IsUnavailableWhileTheDirectoryIsGoneAndWorksWhenItIsBack) {
  const std::string object = Put(*store_, 5)->sha256;
  Move(path_, elsewhere_);

  for (const absl::Status& status :
       {Put(*store_, 6).status(), store_->StatObject(object).status(), store_->VerifyObject(object),
        store_->WriteKey("a/b", "x"), store_->ReadKey("a/b").status(),
        store_->ListKeys("a").status(), store_->FreeBytes().status(), store_->RemoveStaging("test"),
        store_->RemoveObject(object)}) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(base::MessageOf(status), HasSubstr(path_));
  }
  EXPECT_FALSE(base::Exists(path_));

  Move(elsewhere_, path_);
  EXPECT_TRUE(store_->StatObject(object).ok());
  EXPECT_TRUE(Put(*store_, 6).ok());
}

TEST_F(StoreRootTest, DoesNotTakeAnEmptyMountPointForTheStore) {
  Move(path_, elsewhere_);
  std::filesystem::create_directory(path_);

  const absl::Status status = Put(*store_, 6).status();

  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("mounted?"));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(StoreRootTest, DoesNotTakeAnotherStoreForThisOne) {
  Move(path_, elsewhere_);
  const auto other = FileStore::Open(path_).value();

  EXPECT_TRUE(absl::IsUnavailable(store_->FreeBytes().status()));
  EXPECT_TRUE(other->FreeBytes().ok());
}

TEST_F(StoreRootTest, FollowsTheStoreToAnotherFileSystem) {
  const std::string object = Put(*store_, 5)->sha256;
  // A copy has other inodes, as a file system that was mounted again has.
  std::filesystem::copy(path_, elsewhere_, std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(path_);
  Move(elsewhere_, path_);

  EXPECT_TRUE(store_->VerifyObject(object).ok());
}

TEST_F(StoreRootTest, IsOneStoreForAllWhoOpenIt) {
  const auto first = StoreRoot::Open(path_).value();
  EXPECT_TRUE(FileStore::Open(path_).value()->FreeBytes().ok());
  EXPECT_TRUE(first->Get().ok());
}

TEST(StoreError, AFullDiskSaysHowMuchIsFree) {
  const auto directory = base::TempDirectory::Create().value();
  const absl::Status status = StoreError(ENOSPC, directory.path() + "/not/yet/there");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(directory.path() + "/not/yet/there: No space"));
  EXPECT_THAT(base::MessageOf(status), HasSubstr(" bytes free)"));
}

TEST(StoreError, WhatMayBeMendedIsUnavailable) {
  for (const int error : {EROFS, EACCES, EPERM, EIO, ESTALE}) {
    EXPECT_TRUE(absl::IsUnavailable(StoreError(error, "/x"))) << error;
  }
  EXPECT_TRUE(absl::IsNotFound(StoreError(ENOENT, "/x")));
}

}  // namespace
}  // namespace caldera::store
