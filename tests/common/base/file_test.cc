#include "common/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/status.h"

namespace caldera::base {
namespace {

using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  TempDirectory directory_ = TempDirectory::Create().value();
};

TEST_F(FileTest, ReadsBackWhatItWroteInAnySize) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, (std::size_t{1} << 16) + 1}) {
    const std::string bytes(size, '\0');
    ASSERT_TRUE(WriteFile(Path("x"), bytes).ok());
    EXPECT_EQ(ReadFile(Path("x")).value(), bytes);
    EXPECT_EQ(FileSize(Path("x")).value(), size);
  }
}

TEST_F(FileTest, NamesTheFileThatIsMissing) {
  const absl::Status status = ReadFile(Path("absent")).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(MessageOf(status), HasSubstr(Path("absent")));
  EXPECT_TRUE(absl::IsNotFound(FileSize(Path("absent")).status()));
  EXPECT_TRUE(absl::IsNotFound(WriteFile(Path("a/b"), "x")));
}

TEST_F(FileTest, ReadsNoDirectoryAndNothingBeyondTheLimit) {
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(directory_.path()).status()));
  ASSERT_TRUE(WriteFile(Path("x"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("x"), 5).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ReadFile(Path("x"), 4).status()));
}

TEST_F(FileTest, ReadsFilesThatClaimToBeEmpty) {
  EXPECT_FALSE(ReadFile("/proc/self/status").value().empty());
}

TEST_F(FileTest, ReplacesWholeAndLeavesNothingBeside) {
  ASSERT_TRUE(ReplaceFile(Path("x"), "a long first text").ok());
  ASSERT_TRUE(ReplaceFile(Path("x"), "short").ok());
  EXPECT_EQ(ReadFile(Path("x")).value(), "short");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(FileTest, AFailedReplacementLeavesNothingBeside) {
  ASSERT_TRUE(MakeDirectories(Path("x/below")).ok());
  EXPECT_FALSE(ReplaceFile(Path("x"), "text").ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(FileTest, AFullDeviceIsResourceExhausted) {
  const UniqueFd full(open("/dev/full", O_WRONLY));
  ASSERT_TRUE(full);
  const std::byte byte{};
  const absl::Status status = WriteAll(full.get(), std::span(&byte, 1), "/dev/full");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("/dev/full"));
}

TEST_F(FileTest, ReadsRangesWhole) {
  ASSERT_TRUE(WriteFile(Path("x"), "0123456789").ok());
  const UniqueFd fd(open(Path("x").c_str(), O_RDONLY));
  std::string out(4, '?');
  ASSERT_TRUE(ReadAllAt(fd.get(), 6, std::as_writable_bytes(std::span(out)), "x").ok());
  EXPECT_EQ(out, "6789");
  EXPECT_TRUE(
      absl::IsOutOfRange(ReadAllAt(fd.get(), 7, std::as_writable_bytes(std::span(out)), "x")));
}

TEST_F(FileTest, MakesDirectoriesDeepAndTwice) {
  EXPECT_TRUE(MakeDirectories(Path("a/b/c")).ok());
  EXPECT_TRUE(MakeDirectories(Path("a/b/c")).ok());
  ASSERT_TRUE(WriteFile(Path("file"), "").ok());
  EXPECT_FALSE(MakeDirectories(Path("file")).ok());
  EXPECT_FALSE(MakeDirectories(Path("file/below")).ok());
  EXPECT_TRUE(SyncDirectory(Path("a/b/c")).ok());
  EXPECT_FALSE(SyncDirectory(Path("file")).ok());
}

TEST_F(FileTest, RemovesTreesButNotWhatLinksPointAt) {
  ASSERT_TRUE(WriteFile(Path("kept"), "x").ok());
  ASSERT_TRUE(MakeDirectories(Path("a/b")).ok());
  std::filesystem::create_symlink(Path("kept"), Path("a/b/link"));
  EXPECT_TRUE(RemoveTree(Path("a")).ok());
  EXPECT_TRUE(RemoveTree(Path("a")).ok());
  EXPECT_FALSE(Exists(Path("a")));
  EXPECT_TRUE(Exists(Path("kept")));
}

TEST(TempDirectory, GoesWithItsOwner) {
  std::string path;
  {
    TempDirectory first = TempDirectory::Create().value();
    path = first.path();
    ASSERT_TRUE(WriteFile(path + "/x", "x").ok());
    const TempDirectory second = std::move(first);
    EXPECT_EQ(second.path(), path);
    EXPECT_TRUE(Exists(path));
  }
  EXPECT_FALSE(Exists(path));
}

TEST(TempDirectory, NamesAParentThatIsMissing) {
  EXPECT_TRUE(absl::IsNotFound(TempDirectory::Create("/nowhere/at/all").status()));
}

}  // namespace
}  // namespace caldera::base
