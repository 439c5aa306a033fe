// What every CheckpointStore must do, whatever it is made of. Include it in exactly one test file,
// which instantiates CheckpointStoreContract with one HarnessFactory per implementation.
#ifndef CALDERA_TESTS_CONTRACTS_CHECKPOINT_STORE_CONTRACT_H_
#define CALDERA_TESTS_CONTRACTS_CHECKPOINT_STORE_CONTRACT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/store/checkpoint_store.h"

namespace caldera::store {

// A store under test and what the contract itself gives no access to.
class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  virtual CheckpointStore& store() = 0;
  virtual std::string output_uri() = 0;  // a directory that does not exist yet
  virtual absl::StatusOr<std::string> ReadPublished(const std::string& file) = 0;
  virtual void DamageObject(const std::string& sha256) = 0;  // changes one byte, keeps the size
};

// kSmall: the store cannot hold kTooMuchBytes.
enum class Space { kPlenty, kSmall };
inline constexpr std::size_t kTooMuchBytes = std::size_t{4} << 20;
using HarnessFactory = std::function<std::unique_ptr<StoreHarness>(Space)>;

class CheckpointStoreContract : public testing::TestWithParam<HarnessFactory> {
 protected:
  void SetUp() override { harness_ = GetParam()(Space::kPlenty); }
  CheckpointStore& store() { return harness_->store(); }

  static absl::Status Append(ObjectWriter& writer, const std::string& bytes) {
    return writer.Append(std::as_bytes(std::span(bytes)));
  }
  ObjectInfo Put(const std::string& bytes) {
    auto writer = store().Stage("put");
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE(Append(**writer, bytes).ok());
    const auto info = (*writer)->Commit();
    EXPECT_TRUE(info.ok()) << info.status();
    return *info;
  }
  absl::StatusOr<std::string> Get(const std::string& sha256, std::uint64_t offset,
                                  std::size_t size) {
    std::string bytes(size, '?');
    CALDERA_RETURN_IF_ERROR(
        store().ReadObject(sha256, offset, std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }

  std::unique_ptr<StoreHarness> harness_;
};

inline const std::string& AbsentDigest() {
  static const std::string digest(64, 'a');
  return digest;
}

TEST_P(CheckpointStoreContract, NamesAnObjectByItsContent) {
  auto writer = store().Stage("layer-0");
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(Append(**writer, "abc").ok());
  ASSERT_TRUE(Append(**writer, "").ok());
  ASSERT_TRUE(Append(**writer, "def").ok());
  EXPECT_EQ((*writer)->size(), 6U);
  const auto info = (*writer)->Commit();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(*info, (ObjectInfo{base::Sha256Hex("abcdef"), 6}));
  EXPECT_EQ(store().StatObject(info->sha256).value(), *info);
  EXPECT_EQ(Get(info->sha256, 0, 6).value(), "abcdef");
}

TEST_P(CheckpointStoreContract, StoresAnEmptyObject) {
  const ObjectInfo info = Put("");
  EXPECT_EQ(info, (ObjectInfo{base::Sha256Hex(""), 0}));
  EXPECT_EQ(Get(info.sha256, 0, 0).value(), "");
  EXPECT_TRUE(store().VerifyObject(info.sha256).ok());
}

TEST_P(CheckpointStoreContract, ReadsRangesAndRefusesThosePastTheEnd) {
  const ObjectInfo info = Put("0123456789");
  EXPECT_EQ(Get(info.sha256, 3, 4).value(), "3456");
  EXPECT_EQ(Get(info.sha256, 10, 0).value(), "");
  EXPECT_TRUE(absl::IsOutOfRange(Get(info.sha256, 10, 1).status()));
  EXPECT_TRUE(absl::IsOutOfRange(Get(info.sha256, 0, 11).status()));
  EXPECT_TRUE(absl::IsOutOfRange(Get(info.sha256, ~std::uint64_t{0}, 2).status()));
}

TEST_P(CheckpointStoreContract, AnObjectIsInvisibleUntilItIsCommitted) {
  auto writer = store().Stage("layer-0");
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(Append(**writer, "abc").ok());
  EXPECT_TRUE(absl::IsNotFound(store().StatObject(base::Sha256Hex("abc")).status()));
  writer->reset();
  EXPECT_TRUE(absl::IsNotFound(store().StatObject(base::Sha256Hex("abc")).status()));
}

TEST_P(CheckpointStoreContract, CommittingTheSameBytesTwiceIsNoError) {
  EXPECT_EQ(Put("same"), Put("same"));
  EXPECT_EQ(Get(base::Sha256Hex("same"), 0, 4).value(), "same");
}

TEST_P(CheckpointStoreContract, RemovedStagingEndsItsWriterAndNoOther) {
  auto dead = store().Stage("job");
  auto alive = store().Stage("job-2");
  ASSERT_TRUE(dead.ok() && alive.ok());
  ASSERT_TRUE(Append(**dead, "dead").ok());
  ASSERT_TRUE(Append(**alive, "alive").ok());
  EXPECT_TRUE(store().RemoveStaging("job").ok());
  EXPECT_TRUE(store().RemoveStaging("job").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition((*dead)->Commit().status()));
  EXPECT_TRUE(absl::IsNotFound(store().StatObject(base::Sha256Hex("dead")).status()));
  EXPECT_TRUE((*alive)->Commit().ok());
}

TEST_P(CheckpointStoreContract, NamesAbsentObjects) {
  std::byte byte{};
  for (const absl::Status& status :
       {store().StatObject(AbsentDigest()).status(),
        store().ReadObject(AbsentDigest(), 0, std::span(&byte, 1)),
        store().VerifyObject(AbsentDigest()), store().RemoveObject(AbsentDigest()),
        store().Publish(AbsentDigest(), harness_->output_uri(), "file")}) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(AbsentDigest()));
  }
}

TEST_P(CheckpointStoreContract, RefusesBadDigestsKeysAndLabels) {
  EXPECT_TRUE(absl::IsInvalidArgument(store().StatObject("../secret").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store().VerifyObject(std::string(64, 'A'))));
  for (const std::string& bad : {std::string(), std::string("a/../b"), std::string("/a"),
                                 std::string("a//b"), std::string("a\0b", 3), std::string("a b"),
                                 std::string("objects/x"), std::string("staging/x")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store().WriteKey(bad, "x"))) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(store().ReadKey(bad).status())) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(store().RemoveKey(bad))) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(store().Stage("a/b").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store().RemoveStaging("..")));
  EXPECT_TRUE(absl::IsInvalidArgument(store().PublishBytes("x", harness_->output_uri(), "../x")));
}

TEST_P(CheckpointStoreContract, VerifyFindsAChangedByte) {
  const ObjectInfo info = Put("some bytes");
  ASSERT_TRUE(store().VerifyObject(info.sha256).ok());
  harness_->DamageObject(info.sha256);
  const absl::Status status = store().VerifyObject(info.sha256);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(info.sha256));
}

TEST_P(CheckpointStoreContract, RemovesObjects) {
  const ObjectInfo info = Put("short-lived");
  EXPECT_TRUE(store().RemoveObject(info.sha256).ok());
  EXPECT_TRUE(absl::IsNotFound(store().StatObject(info.sha256).status()));
  EXPECT_EQ(Put("short-lived"), info);
}

TEST_P(CheckpointStoreContract, KeysAreReplacedWhole) {
  ASSERT_TRUE(store().WriteKey("receipts/job/0", "a long first text").ok());
  ASSERT_TRUE(store().WriteKey("receipts/job/0", "short").ok());
  EXPECT_EQ(store().ReadKey("receipts/job/0").value(), "short");
  ASSERT_TRUE(store().WriteKey("empty", "").ok());
  EXPECT_EQ(store().ReadKey("empty").value(), "");
  EXPECT_TRUE(store().RemoveKey("empty").ok());
  EXPECT_TRUE(absl::IsNotFound(store().ReadKey("empty").status()));
  EXPECT_TRUE(absl::IsNotFound(store().RemoveKey("empty")));
}

TEST_P(CheckpointStoreContract, ListsKeysByWholeParts) {
  Put("an object that is not listed");
  for (const std::string key : {"b", "a/b/d", "a/b/c", "a/bc"}) {
    ASSERT_TRUE(store().WriteKey(key, key).ok());
  }
  using testing::ElementsAre;
  EXPECT_THAT(store().ListKeys("").value(), ElementsAre("a/b/c", "a/b/d", "a/bc", "b"));
  EXPECT_THAT(store().ListKeys("a/b").value(), ElementsAre("a/b/c", "a/b/d"));
  EXPECT_THAT(store().ListKeys("a/bc").value(), ElementsAre("a/bc"));
  EXPECT_THAT(store().ListKeys("c").value(), ElementsAre());
}

TEST_P(CheckpointStoreContract, AKeyIsNoDirectory) {
  ASSERT_TRUE(store().WriteKey("a/b", "x").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store().WriteKey("a/b/c", "y")));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().WriteKey("a", "y")));
  EXPECT_TRUE(absl::IsNotFound(store().ReadKey("a").status()));
  EXPECT_TRUE(absl::IsNotFound(store().ReadKey("a/b/c").status()));
  ASSERT_TRUE(store().RemoveKey("a/b").ok());
  EXPECT_TRUE(store().WriteKey("a", "now free").ok());
}

TEST_P(CheckpointStoreContract, PublishesObjectsAndReplacesNothing) {
  const ObjectInfo first = Put("first");
  const ObjectInfo second = Put("second");
  const std::string uri = harness_->output_uri();
  ASSERT_TRUE(store().Publish(first.sha256, uri, "a.safetensors").ok());
  EXPECT_TRUE(store().Publish(first.sha256, uri, "a.safetensors").ok());
  const absl::Status status = store().Publish(second.sha256, uri, "a.safetensors");
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr("a.safetensors"));
  EXPECT_EQ(harness_->ReadPublished("a.safetensors").value(), "first");
}

TEST_P(CheckpointStoreContract, PublishedFilesOutliveTheirObject) {
  const ObjectInfo info = Put("kept");
  ASSERT_TRUE(store().Publish(info.sha256, harness_->output_uri(), "kept").ok());
  ASSERT_TRUE(store().RemoveObject(info.sha256).ok());
  EXPECT_EQ(harness_->ReadPublished("kept").value(), "kept");
}

TEST_P(CheckpointStoreContract, PublishesSmallFilesByReplacement) {
  const std::string uri = harness_->output_uri();
  ASSERT_TRUE(store().PublishBytes("{}", uri, "manifest.json").ok());
  ASSERT_TRUE(store().PublishBytes("{\"a\":1}", uri, "manifest.json").ok());
  EXPECT_EQ(harness_->ReadPublished("manifest.json").value(), "{\"a\":1}");
}

TEST_P(CheckpointStoreContract, AFullStoreSaysSoAndStaysUsable) {
  harness_ = GetParam()(Space::kSmall);
  const std::string piece(64 << 10, 'x');
  auto writer = store().Stage("big");
  ASSERT_TRUE(writer.ok()) << writer.status();
  absl::Status status;
  for (std::size_t sent = 0; status.ok() && sent < kTooMuchBytes; sent += piece.size()) {
    status = Append(**writer, piece);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr("big-"));
  EXPECT_TRUE(absl::IsResourceExhausted((*writer)->Commit().status()));
  EXPECT_TRUE(absl::IsResourceExhausted(store().WriteKey("key", std::string(kTooMuchBytes, 'k'))));
  EXPECT_TRUE(absl::IsResourceExhausted(store().PublishBytes(
      std::string(kTooMuchBytes, 'p'), harness_->output_uri(), "manifest.json")));
  EXPECT_TRUE(absl::IsNotFound(harness_->ReadPublished("manifest.json").status()));
  writer->reset();
  EXPECT_THAT(store().ListKeys("").value(), testing::IsEmpty());
  EXPECT_EQ(Get(Put(piece).sha256, 0, 3).value(), "xxx");
}

TEST_P(CheckpointStoreContract, ManyThreadsMayWriteTheSameAndOtherObjects) {
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i < 10; ++i) {
        Put("shared " + std::to_string(i));
        Put(std::to_string(thread) + " " + std::to_string(i));
        EXPECT_TRUE(store().WriteKey("keys/shared/" + std::to_string(i), "x").ok());
        EXPECT_TRUE(store().WriteKey("keys/" + std::to_string(thread) + "/k", "x").ok());
        EXPECT_TRUE(store().RemoveKey("keys/" + std::to_string(thread) + "/k").ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store().ListKeys("").value().size(), 10U);
  EXPECT_TRUE(store().VerifyObject(base::Sha256Hex("shared 9")).ok());
  EXPECT_TRUE(store().VerifyObject(base::Sha256Hex("7 9")).ok());
}

TEST_P(CheckpointStoreContract, KnowsItsFreeSpaceOrSaysThatNobodyDoes) {
  const auto free = store().FreeBytes();
  if (absl::IsUnimplemented(free.status())) return;
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_GT(*free, 0U);
}

}  // namespace caldera::store

#endif  // CALDERA_TESTS_CONTRACTS_CHECKPOINT_STORE_CONTRACT_H_
