// What the contract does not reach: objects in several parts, leftovers, copies to other places.
// Runs where there is an S3 (tests/common/store/s3_test_bucket.h).
#include "common/store/s3_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/store/file_store.h"
#include "common/store/keys.h"
#include "common/store/s3_files.h"
#include "common/store/s3_multipart.h"
#include "tests/common/store/s3_test_bucket.h"

namespace caldera::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::size_t kPart = std::size_t{5} << 20;  // the smallest that S3 takes

std::string RandomBytes(std::size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

// Each test has a prefix of its own. The parameter is there so that no test exists without an S3.
class S3StoreTest : public testing::TestWithParam<int> {
 protected:
  S3StoreTest() {
    S3StoreOptions options;
    options.parts = {kPart, 2};
    options.page_size = 2;
    store_ = bucket_.OpenStore(options);
  }
  absl::StatusOr<std::unique_ptr<ObjectWriter>> Write(const std::string& label,
                                                      const std::string& bytes) {
    CALDERA_ASSIGN_OR_RETURN(auto writer, store_->Stage(label));
    constexpr std::size_t kPiece = 1000000;
    for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
      CALDERA_RETURN_IF_ERROR(writer->Append(
          std::as_bytes(std::span(bytes)).subspan(at).first(std::min(kPiece, bytes.size() - at))));
    }
    return writer;
  }
  ObjectInfo Put(const std::string& bytes) {
    auto writer = Write("put", bytes);
    EXPECT_TRUE(writer.ok()) << writer.status();
    const auto info = (*writer)->Commit();
    EXPECT_TRUE(info.ok()) << info.status();
    return info.value_or(ObjectInfo());
  }
  std::vector<std::string> KeysBelow(const std::string& name) {
    const ListOptions all{.prefix = bucket_.root().Below(name).key + "/"};
    std::vector<std::string> keys;
    const S3ListPage page = ListObjects(bucket_.client(), bucket_.root().bucket, all).value();
    for (const S3ListEntry& entry : page.entries) {
      keys.push_back(entry.key.substr(all.prefix.size()));
    }
    return keys;
  }
  std::size_t OpenUploads() {
    return ListUploads(bucket_.client(), bucket_.root().Below("store/staging/"), 1000)->size();
  }
  S3Location Output() { return bucket_.root().Below("out"); }
  S3Location Output(const std::string& file) { return Output().Below(file); }

  S3TestBucket bucket_;
  std::unique_ptr<S3Store> store_;
};

// No bucket, no tests: tests/system starts this program with one.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(S3StoreTest);
INSTANTIATE_TEST_SUITE_P(Server, S3StoreTest,
                         testing::ValuesIn(HasTestBucket() ? std::vector<int>{0}
                                                           : std::vector<int>{}));

TEST_P(S3StoreTest, WritesAnObjectInPartsAndLeavesNothingElse) {
  for (const std::size_t size : {kPart, kPart + 1, 2 * kPart, 4 * kPart + 12345}) {
    const std::string bytes = RandomBytes(size);
    const ObjectInfo info = Put(bytes);
    EXPECT_EQ(info, (ObjectInfo{base::Sha256Hex(bytes), size}));
    EXPECT_EQ(store_->StatObject(info.sha256).value(), info);
    EXPECT_TRUE(store_->VerifyObject(info.sha256).ok());
    std::string middle(kPart / 2, '?');
    ASSERT_TRUE(store_
                    ->ReadObject(info.sha256, size - kPart / 2 - 1,
                                 std::as_writable_bytes(std::span(middle)))
                    .ok());
    EXPECT_EQ(middle, bytes.substr(size - kPart / 2 - 1, kPart / 2));
  }
  EXPECT_EQ(KeysBelow("store/objects").size(), 4U);
  EXPECT_THAT(KeysBelow("store/staging"), IsEmpty());
  EXPECT_EQ(OpenUploads(), 0U);
}

TEST_P(S3StoreTest, CommittingALargeObjectTwiceIsNoError) {
  const std::string bytes = RandomBytes(kPart + 1);
  EXPECT_EQ(Put(bytes), Put(bytes));
  EXPECT_THAT(KeysBelow("store/staging"), IsEmpty());
}

TEST_P(S3StoreTest, AWriterThatIsGivenUpLeavesNothing) {
  { ASSERT_TRUE(Write("gone", RandomBytes(2 * kPart + 1)).ok()); }
  EXPECT_EQ(OpenUploads(), 0U);
}

TEST_P(S3StoreTest, RemovedStagingEndsAWriterInTheMiddleOfItsParts) {
  auto writer = Write("dead", RandomBytes(2 * kPart + 1));
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(store_->RemoveStaging("dead").ok());
  EXPECT_EQ(OpenUploads(), 0U);
  EXPECT_TRUE(absl::IsFailedPrecondition((*writer)->Commit().status()));
}

TEST_P(S3StoreTest, LeftoversOfDeadProcessesAreFoundByTheirLabel) {
  const S3Location staging = bucket_.root().Below("store/staging");
  for (const std::string label : {"dead", "dead", "dead", "dead-too"}) {
    ASSERT_TRUE(CreateUpload(bucket_.client(), staging.Below(label + "-" + base::NewUuid())).ok());
  }
  const std::string completed = "dead-" + base::NewUuid();
  ASSERT_TRUE(PutObject(bucket_.client(), staging.Below(completed), {}, IfPresent::kReplace).ok());
  ASSERT_TRUE(store_->RemoveStaging("dead").ok());
  EXPECT_EQ(OpenUploads(), 1U);
  EXPECT_THAT(KeysBelow("store/staging"), IsEmpty());
  ASSERT_TRUE(store_->RemoveStaging("dead-too").ok());
  EXPECT_EQ(OpenUploads(), 0U);
}

TEST_P(S3StoreTest, CopiesLargeObjectsByParts) {
  S3StoreOptions options;
  options.parts = {kPart, 2};
  options.copy = {.limit_bytes = kPart, .part_bytes = kPart};
  store_ = bucket_.OpenStore(options);
  const std::string bytes = RandomBytes(3 * kPart + 7);
  const ObjectInfo info = Put(bytes);
  EXPECT_TRUE(store_->VerifyObject(info.sha256).ok());
  ASSERT_TRUE(store_->Publish(info.sha256, Output().Uri(), "shard").ok());
  EXPECT_EQ(GetObject(bucket_.client(), Output("shard")).value(), bytes);
  EXPECT_EQ(OpenUploads(), 0U);
}

TEST_P(S3StoreTest, PublishesToADirectoryAndReplacesNothingThere) {
  const auto directory = base::TempDirectory::Create().value();
  const std::string output = directory.path() + "/deep/out";
  const ObjectInfo info = Put("bytes");
  ASSERT_TRUE(store_->Publish(info.sha256, "file://" + output, "a").ok());
  EXPECT_TRUE(store_->Publish(info.sha256, output, "a").ok());
  EXPECT_EQ(base::ReadFile(output + "/a").value(), "bytes");
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Publish(Put("other").sha256, output, "a")));
  ASSERT_TRUE(store_->PublishBytes("{}", output, "manifest.json").ok());
  EXPECT_EQ(base::ReadFile(output + "/manifest.json").value(), "{}");
}

TEST_P(S3StoreTest, AFileStorePublishesToABucket) {
  const auto directory = base::TempDirectory::Create().value();
  const auto files = FileStore::Open(directory.path() + "/store").value();
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, 2 * kPart}) {
    const std::string bytes = RandomBytes(size);
    auto writer = files->Stage("x").value();
    ASSERT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
    const ObjectInfo info = writer->Commit().value();
    const std::string file = "file" + std::to_string(size);
    ASSERT_TRUE(files->Publish(info.sha256, Output().Uri(), file).ok());
    EXPECT_TRUE(files->Publish(info.sha256, Output().Uri(), file).ok());
    EXPECT_EQ(GetObject(bucket_.client(), Output(file)).value(), bytes);
    const absl::Status taken = files->Publish(info.sha256, Output().Uri(), "file0");
    EXPECT_EQ(taken.code(), size == 0 ? absl::StatusCode::kOk : absl::StatusCode::kAlreadyExists);
  }
  ASSERT_TRUE(files->PublishBytes("{}", Output().Uri(), "manifest.json").ok());
  EXPECT_EQ(GetObject(bucket_.client(), Output("manifest.json")).value(), "{}");
}

TEST_P(S3StoreTest, SaysWhatIsWrongWhenItIsOpened) {
  S3Settings settings = bucket_.settings();
  const std::string uri = bucket_.root().Uri();
  EXPECT_TRUE(absl::IsNotFound(S3Store::Open("s3://no-such-bucket-here", settings, {}).status()));
  settings.credentials.secret_access_key = "wrong";
  absl::Status status = S3Store::Open(uri, settings, {}).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(base::MessageOf(status), testing::Not(HasSubstr("wrong")));
  settings.credentials.access_key_id = "NOBODY";
  status = S3Store::Open(uri, settings, {}).status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  const S3TestBucket other(BucketOf::kSmallUser);
  status = S3Store::Open(uri, other.settings(), {}).status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
}

TEST_P(S3StoreTest, AFileSetHasTheObjectsOfAPrefixOrOne) {
  const S3Location root = bucket_.root().Below("model");
  for (const std::string name : {"b.txt", "a.txt", "deeper/c.txt"}) {
    ASSERT_TRUE(PutObject(bucket_.client(), root.Below(name), std::as_bytes(std::span(name)),
                          IfPresent::kReplace)
                    .ok());
  }
  const auto client = std::make_shared<const S3Client>(bucket_.settings(), S3ClientOptions());
  const auto files = OpenS3Files(client, root);
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> names;
  const auto entries = (*files)->List().value();
  for (const auto& entry : entries) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("a.txt", "b.txt"));
  EXPECT_EQ(model::ReadText(**files, "b.txt", 100).value(), "b.txt");
  EXPECT_TRUE(absl::IsNotFound((*files)->Open("c.txt").status()));
  const auto one = OpenS3Files(client, root.Below("a.txt"));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ((*one)->List()->size(), 1U);
  EXPECT_EQ(model::ReadText(**one, "a.txt", 100).value(), "a.txt");
  EXPECT_TRUE(absl::IsNotFound(OpenS3Files(client, root.Below("none")).status()));
}

TEST_P(S3StoreTest, VirtualHostsReachTheSameBucket) {
  S3Settings settings = bucket_.settings();
  settings.addressing = S3Addressing::kVirtualHost;
  const std::string local = "127.0.0.1";
  settings.endpoint.replace(settings.endpoint.find(local), local.size(), "localhost");
  const S3Client client(settings, {});
  const std::string bytes = "by name";
  const S3Location object = bucket_.root().Below("a b+c/\xC3\xA9");
  ASSERT_TRUE(PutObject(client, object, std::as_bytes(std::span(bytes)), IfPresent::kReplace).ok());
  EXPECT_EQ(GetObject(bucket_.client(), object).value(), bytes);
}

}  // namespace
}  // namespace caldera::store
