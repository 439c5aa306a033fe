#include "common/model/local_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using ::testing::HasSubstr;

// A directory of its own that goes with the test.
class LocalFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "caldera_local_files_" + std::to_string(::getpid());
    std::filesystem::create_directories(directory_ + "/folder");
    Write("b.txt", "hello");
    Write("a.bin", "");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void Write(const std::string& file, const std::string& text) {
    std::ofstream(directory_ + "/" + file, std::ios::binary) << text;
  }
  std::string directory_;
};

TEST_F(LocalFiles, ListsRegularFilesByName) {
  const auto files = OpenLocalFiles(directory_);
  ASSERT_TRUE(files.ok());
  const auto entries = (*files)->List();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0].name, "a.bin");
  EXPECT_EQ((*entries)[0].size, 0U);
  EXPECT_EQ((*entries)[1].name, "b.txt");
  EXPECT_EQ((*entries)[1].size, 5U);
}

TEST_F(LocalFiles, AFileUriIsAPath) {
  const auto files = OpenLocalFiles("file://" + directory_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(*ReadText(**files, "b.txt", 100), "hello");
}

TEST_F(LocalFiles, AFileThatLeadsOutOfTheRootsIsNotOpened) {
  const auto roots = base::AllowedRoots::Make({directory_ + "/folder"}).value();
  Write("folder/in.txt", "in");
  std::filesystem::create_symlink(directory_ + "/b.txt", directory_ + "/folder/out.txt");
  const auto files = OpenLocalFiles(directory_ + "/folder", roots);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(*ReadText(**files, "in.txt", 100), "in");
  EXPECT_TRUE(absl::IsPermissionDenied((*files)->Open("out.txt").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(OpenLocalFiles(directory_, roots).status()));
}

TEST_F(LocalFiles, ASingleFileIsASetOfOne) {
  const auto files = OpenLocalFiles(directory_ + "/b.txt");
  ASSERT_TRUE(files.ok());
  const auto entries = (*files)->List();
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_EQ(entries->front().name, "b.txt");
  EXPECT_TRUE((*files)->Open("b.txt").ok());
  EXPECT_EQ((*files)->Open("a.bin").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LocalFiles, ReadsRangesAndRefusesWhatLiesBeyond) {
  const auto source = FileByteSource::Open(directory_ + "/b.txt");
  ASSERT_TRUE(source.ok());
  std::vector<std::byte> out(3);
  ASSERT_TRUE((*source)->Read(1, out).ok());
  EXPECT_EQ(out, testing::BytesOf(std::string("ell")));
  EXPECT_TRUE((*source)->Read(5, {}).ok());
  const absl::Status status = (*source)->Read(3, out);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(base::MessageOf(status), HasSubstr("b.txt"));
  EXPECT_FALSE((*source)->Read(~std::uint64_t{0}, out).ok());
}

TEST_F(LocalFiles, AFileThatShrankIsDataLoss) {
  const auto source = FileByteSource::Open(directory_ + "/b.txt");
  ASSERT_TRUE(source.ok());
  std::filesystem::resize_file(directory_ + "/b.txt", 2);
  std::vector<std::byte> out(5);
  EXPECT_EQ((*source)->Read(0, out).code(), absl::StatusCode::kDataLoss);
}

TEST_F(LocalFiles, ErrorsNameThePath) {
  const auto missing = OpenLocalFiles(directory_ + "/none");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(base::MessageOf(missing.status()), HasSubstr("/none"));
  EXPECT_FALSE(FileByteSource::Open(directory_ + "/folder").ok());
  EXPECT_FALSE(OpenLocalFiles("s3://bucket/x").ok());
  EXPECT_FALSE(OpenLocalFiles("file://host/x").ok());
}

TEST_F(LocalFiles, NamesDoNotLeadOutOfTheDirectory) {
  const auto files = OpenLocalFiles(directory_ + "/folder");
  ASSERT_TRUE(files.ok());
  for (const std::string file : {"../b.txt", "..", ".", "", "/etc/passwd"}) {
    EXPECT_FALSE((*files)->Open(file).ok()) << file;
  }
}

TEST(MemoryFiles, BehaveAsLocalFiles) {
  MemoryFileSet files("set");
  files.Put("b", "hello");
  files.Put("a", std::vector<std::byte>());
  const auto entries = files.List();
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->front().name, "a");
  const auto source = files.Open("b");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->name(), "set/b");
  std::vector<std::byte> out(2);
  EXPECT_TRUE((*source)->Read(3, out).ok());
  EXPECT_EQ((*source)->Read(4, out).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(files.Open("c").status().code(), absl::StatusCode::kNotFound);
}

TEST(MemoryFiles, OpenSourcesKeepTheirBytesWhenAFileIsReplaced) {
  MemoryFileSet files("set");
  files.Put("a", "old");
  const auto source = files.Open("a");
  files.Put("a", "newer");
  EXPECT_EQ(*ReadText(**source, 10), "old");
  EXPECT_EQ(*ReadText(files, "a", 10), "newer");
}

TEST(MemoryFiles, ReadTextHasALimit) {
  MemoryFileSet files("set");
  files.Put("a", "12345");
  EXPECT_TRUE(ReadText(files, "a", 5).ok());
  EXPECT_EQ(ReadText(files, "a", 4).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caldera::model
