#include "worker/object_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/store/file_store.h"
#include "common/store/memory_store.h"
#include "tests/common/rpc/checkpoint_test_server.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;

std::vector<std::byte> SampleBytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  return bytes;
}

v1::Lease SomeLease() {
  v1::Lease lease;
  lease.set_lease_id("lease");
  lease.set_attempt(2);
  lease.set_job("compressionJobs/x");
  return lease;
}

void ExpectRoundTrips(ObjectIo& objects) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, rpc::kChunkBytes + 1}) {
    const std::vector<std::byte> bytes = SampleBytes(size);

    const auto object = objects.Write(bytes);

    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->sha256(), base::Sha256Hex(bytes));
    EXPECT_EQ(object->size(), static_cast<std::int64_t>(size));
    EXPECT_EQ(objects.Read(*object).value(), bytes) << size;
  }
}

void ExpectPiecesMakeOneObject(ObjectIo& objects) {
  const std::vector<std::byte> bytes = SampleBytes(1000);
  const auto sink = objects.Create().value();
  for (std::size_t at = 0; at < bytes.size(); at += 300) {
    const std::size_t count = std::min<std::size_t>(300, bytes.size() - at);
    ASSERT_TRUE(sink->Append(std::span(bytes).subspan(at, count)).ok());
  }

  const auto object = sink->Finish();

  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(objects.Read(*object).value(), bytes);
}

void ExpectUnknownObjectIsNotFound(ObjectIo& objects) {
  v1::ObjectRef object;
  object.set_sha256(std::string(64, 'a'));
  object.set_size(3);

  const auto read = objects.Read(object);

  EXPECT_TRUE(absl::IsNotFound(read.status())) << read.status();
  EXPECT_THAT(base::MessageOf(read.status()), HasSubstr(object.sha256()));
}

void ExpectDataLoss(const absl::StatusOr<std::vector<std::byte>>& read, const std::string& sha256) {
  EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
  EXPECT_THAT(base::MessageOf(read.status()), HasSubstr(sha256));
}

TEST(DirectObjectIo, ReadsBackWhatWasWritten) {
  store::MemoryStore memory("objects");
  const auto directory = base::TempDirectory::Create().value();
  const auto files = store::OpenStore("file://" + directory.path()).value();
  for (store::CheckpointStore* store :
       {static_cast<store::CheckpointStore*>(&memory), files.get()}) {
    const auto objects = MakeDirectObjectIo(*store, SomeLease());
    ExpectRoundTrips(*objects);
    ExpectPiecesMakeOneObject(*objects);
    ExpectUnknownObjectIsNotFound(*objects);
  }
}

TEST(DirectObjectIo, NamesADamagedObject) {
  store::MemoryStore store("objects");
  const auto objects = MakeDirectObjectIo(store, SomeLease());
  const v1::ObjectRef object = objects->Write(SampleBytes(100)).value();
  ASSERT_TRUE(store.DamageObject(object.sha256(), 50).ok());

  ExpectDataLoss(objects->Read(object), object.sha256());
}

TEST(DirectObjectIo, RefusesAnObjectOfAnotherSize) {
  store::MemoryStore store("objects");
  const auto objects = MakeDirectObjectIo(store, SomeLease());
  v1::ObjectRef object = objects->Write(SampleBytes(100)).value();

  object.set_size(99);
  ExpectDataLoss(objects->Read(object), object.sha256());
  object.set_size(101);
  EXPECT_FALSE(objects->Read(object).ok());
}

TEST(DirectObjectIo, LeavesNothingBehindWhenItIsNotFinished) {
  store::MemoryStore store("objects", 1000);
  const auto objects = MakeDirectObjectIo(store, SomeLease());
  {
    const auto sink = objects->Create().value();
    ASSERT_TRUE(sink->Append(SampleBytes(900)).ok());
  }

  EXPECT_EQ(store.FreeBytes().value(), 1000U);
}

class StreamedObjectIoTest : public testing::Test {
 protected:
  void Start(const rpc::Faults& faults) {
    service_ = std::make_unique<rpc::CheckpointTestServer>(faults);
    server_ = rpc::Server::Start({}, {service_.get()}).value();
    const auto channel = rpc::MakeChannel(server_->address(), {}).value();
    objects_ = MakeStreamedObjectIo({channel, &clock_}, SomeLease());
  }
  void TearDown() override { server_->Shutdown(absl::ZeroDuration()); }

  base::SystemClock clock_;
  std::unique_ptr<rpc::CheckpointTestServer> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<ObjectIo> objects_;
};

TEST_F(StreamedObjectIoTest, ReadsBackWhatWasWritten) {
  Start({});
  ExpectRoundTrips(*objects_);
  ExpectPiecesMakeOneObject(*objects_);
  ExpectUnknownObjectIsNotFound(*objects_);
}

TEST_F(StreamedObjectIoTest, SurvivesStreamsThatBreakBothWays) {
  Start({.break_read_after = 1, .break_write_after = 1});
  ExpectRoundTrips(*objects_);
}

TEST_F(StreamedObjectIoTest, NamesADamagedObject) {
  Start({});
  const v1::ObjectRef object = objects_->Write(SampleBytes(100)).value();
  ASSERT_TRUE(service_->store().DamageObject(object.sha256(), 50).ok());

  ExpectDataLoss(objects_->Read(object), object.sha256());
}

TEST_F(StreamedObjectIoTest, RefusesAnUploadThatArrivedAsAnotherObject) {
  Start({.bad_size = true});

  EXPECT_TRUE(absl::IsDataLoss(objects_->Write(SampleBytes(100)).status()));
}

}  // namespace
}  // namespace caldera::worker
