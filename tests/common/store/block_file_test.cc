#include "common/store/block_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace caldera::store {
namespace {

std::string Letters(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 2654435761U >> 7) % 26);
  return text;
}

absl::Status AppendInSteps(BlockFile& file, const std::string& text, std::size_t step) {
  const auto bytes = std::as_bytes(std::span(text));
  absl::Status status;
  for (std::size_t at = 0; status.ok() && at < bytes.size(); at += step) {
    status = file.Append(bytes.subspan(at, std::min(step, bytes.size() - at)));
  }
  return status;
}

class BlockFileTest : public testing::Test {
 protected:
  std::string path() const { return directory_.path() + "/file"; }
  BlockFile Create() const {
    return {base::UniqueFd(open(path().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644)), path()};
  }

  // Not /tmp, which may lie in memory, where nothing is written past the cache.
  base::TempDirectory directory_ = base::TempDirectory::Create("/var/tmp").value();
};

TEST_F(BlockFileTest, WritesFilesOfEverySizeInStepsOfEverySize) {
  constexpr std::size_t kBlock = BlockFile::kBlockBytes;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kBlock - 1, kBlock, kBlock + 1,
                                 3 * kBlock, 5 * kBlock + 4095}) {
    for (const std::size_t step : {std::size_t{4093}, kBlock, 3 * kBlock + 1}) {
      const std::string text = Letters(size);
      BlockFile file = Create();
      ASSERT_TRUE(AppendInSteps(file, text, step).ok());
      ASSERT_TRUE(file.Finish().ok());
      EXPECT_EQ(base::ReadFile(path()).value(), text) << size << " in steps of " << step;
    }
  }
}

TEST_F(BlockFileTest, GoesOnThroughTheCacheWhereAWriteDoesNotStartAtASector) {
  const base::UniqueFd fd(open(path().c_str(), O_WRONLY | O_CREAT, 0644));
  ASSERT_EQ(write(fd.get(), "head", 4), 4);
  const std::string text = Letters(2 * BlockFile::kBlockBytes + 3);
  BlockFile file(base::UniqueFd(dup(fd.get())), path());
  ASSERT_TRUE(AppendInSteps(file, text, text.size()).ok());
  ASSERT_TRUE(file.Finish().ok());
  EXPECT_EQ(base::ReadFile(path()).value(), "head" + text);
}

TEST_F(BlockFileTest, SaysWhatWasNotWritten) {
  BlockFile file(base::UniqueFd(open("/dev/full", O_WRONLY)), "/dev/full");
  // The first block is under way when Append returns; the error is that of a later call.
  const absl::Status status = AppendInSteps(file, Letters(3 * BlockFile::kBlockBytes), 1 << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(file.Finish(), status);
  EXPECT_EQ(file.Append({}), status);
}

TEST_F(BlockFileTest, SaysThatTheLastBytesWereNotWritten) {
  BlockFile file(base::UniqueFd(open("/dev/full", O_WRONLY)), "/dev/full");
  EXPECT_TRUE(AppendInSteps(file, "abc", 3).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(file.Finish()));
}

TEST_F(BlockFileTest, MayBeGivenUpWhileABlockIsUnderWay) {
  BlockFile file = Create();
  EXPECT_TRUE(AppendInSteps(file, Letters(BlockFile::kBlockBytes), 1 << 20).ok());
}

}  // namespace
}  // namespace caldera::store
