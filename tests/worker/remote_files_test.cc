#include "worker/remote_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "tests/worker/job_files_server.h"

namespace caldera::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kJob[] = "compressionJobs/x";

// Longer than two chunks of a transfer.
std::string LongText() {
  std::string text(2 * rpc::kChunkBytes + 333, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761U >> 13);
  return text;
}

class RemoteFilesTest : public testing::Test {
 protected:
  explicit RemoteFilesTest(const std::string& text = "The text.") {
    auto files = std::make_shared<model::MemoryFileSet>("/models/tiny");
    files->Put("config.json", std::string("{}"));
    files->Put("empty.txt", std::string());
    files->Put("model.safetensors", LongText());
    const auto bytes = std::as_bytes(std::span(text));
    service_ = std::make_unique<JobFilesServer>(
        kJob, files,
        std::make_shared<model::MemoryByteSource>(
            "text", std::vector<std::byte>(bytes.begin(), bytes.end())));
    server_ = rpc::Server::Start({}, {service_.get()}).value();
    access_ = {rpc::MakeChannel(server_->address(), {}).value(), &clock_};
  }
  ~RemoteFilesTest() override { server_->Shutdown(absl::ZeroDuration()); }

  std::unique_ptr<model::ByteSource> Open(const std::string& file) {
    return OpenRemoteModel(access_, kJob).value()->Open(file).value();
  }
  // Bytes of the long file, or the error.
  absl::StatusOr<std::string> ReadLong(std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    CALDERA_RETURN_IF_ERROR(
        Open("model.safetensors")->Read(offset, std::as_writable_bytes(std::span(text))));
    return text;
  }

  base::SystemClock clock_;
  std::unique_ptr<JobFilesServer> service_;
  std::unique_ptr<rpc::Server> server_;
  CheckpointAccess access_;
};

class RemoteEmptyTextTest : public RemoteFilesTest {
 protected:
  RemoteEmptyTextTest() : RemoteFilesTest("") {}
};

TEST_F(RemoteFilesTest, ListsNamesAndSizesAsTheCoordinatorDoes) {
  const auto files = OpenRemoteModel(access_, kJob);

  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ((*files)->name(), "/models/tiny");
  const auto entries = (*files)->List().value();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "config.json");
  EXPECT_EQ(entries[0].size, 2U);
  EXPECT_EQ(entries[1].name, "empty.txt");
  EXPECT_EQ(entries[1].size, 0U);
  EXPECT_EQ(entries[2].name, "model.safetensors");
  EXPECT_EQ(entries[2].size, LongText().size());
}

TEST_F(RemoteFilesTest, NamesTheFilesAfterTheirSet) {
  const auto source = Open("config.json");

  EXPECT_EQ(source->name(), "/models/tiny/config.json");
  EXPECT_EQ(source->size(), 2U);
  EXPECT_EQ(model::ReadText(*source, 100).value(), "{}");
}

TEST_F(RemoteFilesTest, ReadsAnyRange) {
  const std::string whole = LongText();
  EXPECT_EQ(ReadLong(0, whole.size()).value(), whole);
  EXPECT_EQ(ReadLong(0, 1).value(), whole.substr(0, 1));
  EXPECT_EQ(ReadLong(rpc::kChunkBytes - 3, 7).value(), whole.substr(rpc::kChunkBytes - 3, 7));
  EXPECT_EQ(ReadLong(whole.size() - 5, 5).value(), whole.substr(whole.size() - 5));
  EXPECT_EQ(ReadLong(17, 0).value(), "");
  EXPECT_EQ(ReadLong(whole.size(), 0).value(), "");
}

TEST_F(RemoteFilesTest, RefusesARangePastTheEndAndNamesTheFile) {
  const std::uint64_t size = LongText().size();
  for (const std::uint64_t offset : {size - 4, size, size + 1, ~std::uint64_t{0}}) {
    const auto read = ReadLong(offset, 5);
    EXPECT_TRUE(absl::IsOutOfRange(read.status())) << offset << ": " << read.status();
    EXPECT_THAT(base::MessageOf(read.status()), HasSubstr("/models/tiny/model.safetensors"));
  }
}

TEST_F(RemoteFilesTest, NamesSetAndFileWhenThereIsNone) {
  const auto opened = OpenRemoteModel(access_, kJob).value()->Open("tokenizer.json");

  EXPECT_TRUE(absl::IsNotFound(opened.status()));
  EXPECT_THAT(base::MessageOf(opened.status()),
              AllOf(HasSubstr("/models/tiny"), HasSubstr("tokenizer.json")));
}

TEST_F(RemoteFilesTest, DoesNotFindAnUnknownJob) {
  EXPECT_TRUE(absl::IsNotFound(OpenRemoteModel(access_, "compressionJobs/y").status()));
  EXPECT_TRUE(absl::IsNotFound(ReadRemoteCalibration(access_, "compressionJobs/y").status()));
}

TEST_F(RemoteFilesTest, ReadsTheWholeCalibrationText) {
  EXPECT_EQ(ReadRemoteCalibration(access_, kJob).value(), "The text.");
}

TEST_F(RemoteEmptyTextTest, ReadsAnEmptyCalibrationText) {
  EXPECT_EQ(ReadRemoteCalibration(access_, kJob).value(), "");
}

}  // namespace
}  // namespace caldera::worker
