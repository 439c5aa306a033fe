#include "common/store/safe_path.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/sha256.h"

namespace caldera::store {
namespace {

class SafePathTest : public testing::Test {
 protected:
  base::TempDirectory directory_ = base::TempDirectory::Create().value();
  base::UniqueFd root_{open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY)};
};

TEST_F(SafePathTest, CreatesWhatIsMissingOnlyWhenAsked) {
  const std::vector<std::string> parts = {"a", "b"};
  EXPECT_TRUE(absl::IsNotFound(
      OpenDirectoryBelow(root_.get(), parts, MissingDirectories::kError, "a/b").status()));
  EXPECT_TRUE(OpenDirectoryBelow(root_.get(), parts, MissingDirectories::kCreate, "a/b").ok());
  EXPECT_TRUE(OpenDirectoryBelow(root_.get(), parts, MissingDirectories::kError, "a/b").ok());
}

TEST_F(SafePathTest, AFifoIsNoFileAndDoesNotBlock) {
  ASSERT_EQ(mkfifo((directory_.path() + "/pipe").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsNotFound(OpenFileIn(root_.get(), "pipe", "pipe").status()));
}

TEST_F(SafePathTest, CreatesAFileOnlyOnce) {
  EXPECT_TRUE(CreateFileIn(root_.get(), "x", "x").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(CreateFileIn(root_.get(), "x", "x").status()));
}

TEST_F(SafePathTest, DigestsWholeFilesOfAnySize) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, (std::size_t{1} << 20) + 1}) {
    const std::string bytes(size, 'd');
    ASSERT_TRUE(base::WriteFile(directory_.path() + "/x", bytes).ok());
    const base::UniqueFd fd = OpenFileIn(root_.get(), "x", "x").value();
    EXPECT_EQ(DigestOfFd(fd.get(), "x").value(), base::Sha256Hex(bytes));
    EXPECT_EQ(SizeOfFd(fd.get(), "x").value(), size);
  }
}

TEST_F(SafePathTest, ListsNamesInOrder) {
  EXPECT_THAT(NamesIn(root_.get(), "root").value(), testing::IsEmpty());
  for (const char* name : {"b", "a", ".c"}) ASSERT_TRUE(CreateFileIn(root_.get(), name, name).ok());
  EXPECT_THAT(NamesIn(root_.get(), "root").value(), testing::ElementsAre(".c", "a", "b"));
}

}  // namespace
}  // namespace caldera::store
