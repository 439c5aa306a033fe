#include "common/store/file_publish.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace caldera::store {
namespace {

// Larger than one copy buffer and no multiple of it.
const std::string kBytes((std::size_t{1} << 20) + 12345, 'z');

class FilePublishTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(base::WriteFile(directory_.path() + "/" + digest_, kBytes).ok());
    fd_ = base::UniqueFd(open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY));
  }
  absl::Status Copy() { return PublishFile({fd_.get(), digest_}, Output(), "x", PublishBy::kCopy); }
  std::string Output() const { return directory_.path() + "/out"; }
  std::size_t FilesInOutput() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(Output()),
                                                  std::filesystem::directory_iterator()));
  }

  const std::string digest_ = base::Sha256Hex(kBytes);
  base::TempDirectory directory_ = base::TempDirectory::Create().value();
  base::UniqueFd fd_;
};

TEST_F(FilePublishTest, ACopyHasTheBytesAndIsReadOnly) {
  ASSERT_TRUE(Copy().ok());
  EXPECT_EQ(base::ReadFile(Output() + "/x").value(), kBytes);
  struct stat info = {};
  ASSERT_EQ(stat((Output() + "/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0444U);
  EXPECT_EQ(info.st_nlink, 1U);
  EXPECT_EQ(FilesInOutput(), 1U);
}

TEST_F(FilePublishTest, CopyingTwiceIsNoError) {
  ASSERT_TRUE(Copy().ok());
  EXPECT_TRUE(Copy().ok());
}

TEST_F(FilePublishTest, ACopyReplacesNothing) {
  ASSERT_TRUE(base::MakeDirectories(Output()).ok());
  ASSERT_TRUE(base::WriteFile(Output() + "/x", "other").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Copy()));
  EXPECT_EQ(base::ReadFile(Output() + "/x").value(), "other");
  EXPECT_EQ(FilesInOutput(), 1U);
}

TEST_F(FilePublishTest, DamagedBytesAreNotPublished) {
  ASSERT_TRUE(base::WriteFile(directory_.path() + "/" + digest_, kBytes + "!").ok());
  const absl::Status status = Copy();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(digest_));
  EXPECT_EQ(FilesInOutput(), 0U);
}

}  // namespace
}  // namespace caldera::store
