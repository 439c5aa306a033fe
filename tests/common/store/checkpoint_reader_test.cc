#include "common/store/checkpoint_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/file.h"
#include "common/base/status.h"
#include "tests/common/store/sample_manifest.h"

namespace caldera::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kShard[] = "model-00001-of-00002.safetensors";

class CheckpointReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    Write("config.json", "config");
    Write(kShard, "one");
    Write("run.json", "anything");
    Write("manifest.json", ManifestToJson(SampleManifest()).value());
  }
  void Write(const std::string& file, const std::string& bytes) {
    ASSERT_TRUE(base::WriteFile(directory_.path() + "/" + file, bytes).ok());
  }
  void Remove(const std::string& file) {
    ASSERT_TRUE(base::RemoveTree(directory_.path() + "/" + file).ok());
  }
  const std::string& directory() const { return directory_.path(); }

  base::TempDirectory directory_ = base::TempDirectory::Create().value();
};

TEST_F(CheckpointReaderTest, OpensByPathAndByUri) {
  const auto checkpoint = OpenCheckpoint(directory());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->manifest, SampleManifest());
  EXPECT_EQ(checkpoint->manifest_sha256, base::Sha256Hex(ManifestToJson(SampleManifest()).value()));
  EXPECT_EQ(OpenCheckpoint("file://" + directory()).value().directory, directory());
}

TEST_F(CheckpointReaderTest, TrustsNoDirectoryWithoutAManifest) {
  Remove("manifest.json");
  EXPECT_FALSE(HasManifest(directory()).value());
  EXPECT_FALSE(HasManifest(directory() + "/none").value());
  const absl::Status status = OpenCheckpoint(directory()).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(base::MessageOf(status), HasSubstr("manifest.json is missing"));
  EXPECT_TRUE(absl::IsNotFound(VerifyCheckpoint(directory()).status()));
}

TEST_F(CheckpointReaderTest, OpeningNamesAFileThatIsMissingOrShort) {
  Write(kShard, "on");
  absl::Status status = OpenCheckpoint(directory()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(kShard));
  Remove(kShard);
  status = OpenCheckpoint(directory()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(kShard));
}

TEST_F(CheckpointReaderTest, VerifiesAnUntouchedCheckpoint) {
  std::vector<std::string> seen;
  const auto report =
      VerifyCheckpoint(directory(), [&seen](const std::string& file) { seen.push_back(file); });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->status().ok());
  EXPECT_THAT(report->extra, IsEmpty());
  EXPECT_THAT(seen, ElementsAre("config.json", kShard));
  EXPECT_EQ(report->bytes_read, 9U);
}

TEST_F(CheckpointReaderTest, VerifyNamesChangedMissingAndExtraFiles) {
  Write("config.json", "c0nfig");
  Remove(kShard);
  Write("notes.txt", "mine");
  const auto report = VerifyCheckpoint(directory()).value();
  EXPECT_THAT(report.corrupt, ElementsAre("config.json"));
  EXPECT_THAT(report.missing, ElementsAre(kShard));
  EXPECT_THAT(report.extra, ElementsAre("notes.txt"));
  EXPECT_TRUE(absl::IsDataLoss(report.status()));
  EXPECT_THAT(base::MessageOf(report.status()), HasSubstr("config.json"));
}

TEST_F(CheckpointReaderTest, ExtraFilesAloneAreNoDamage) {
  Write("notes.txt", "mine");
  EXPECT_TRUE(VerifyCheckpoint(directory()).value().status().ok());
}

TEST_F(CheckpointReaderTest, AListedFileMayNotBeALink) {
  Remove(kShard);
  Write("elsewhere", "one");
  std::filesystem::create_symlink(directory() + "/elsewhere", directory() + "/" + kShard);
  EXPECT_THAT(VerifyCheckpoint(directory()).value().missing, ElementsAre(kShard));
}

TEST_F(CheckpointReaderTest, NamesTheBadFieldOfTheManifest) {
  std::string json = ManifestToJson(SampleManifest()).value();
  json.replace(json.find("\"rank\": 64"), 10, "\"rank\": -4");
  Write("manifest.json", json);
  const absl::Status status = OpenCheckpoint(directory()).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(base::MessageOf(status), HasSubstr("manifest.json: matrices[0].rank"));
}

}  // namespace
}  // namespace caldera::store
