#include "common/rpc/chunked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/crc32c.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "tests/common/rpc/checkpoint_test_server.h"

namespace caldera::rpc {

namespace {

using testing::HasSubstr;

// Three chunks and a bit, all different.
std::string SampleBytes(std::size_t size = 3 * kChunkBytes + 77) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13);
  return bytes;
}

class ChunkedTest : public testing::Test {
 protected:
  void Start(const Faults& faults) {
    service_ = std::make_unique<CheckpointTestServer>(faults);
    server_ = Server::Start({}, {service_.get()}).value();
    channel_ = MakeChannel(server_->address(), {}).value();
    stub_ = v1::CheckpointService::NewStub(channel_);
  }
  void TearDown() override {
    if (server_) server_->Shutdown(absl::ZeroDuration());
  }
  v1::ReadRequest Store(const std::string& bytes) {
    auto writer = service_->store().Stage("test").value();
    EXPECT_TRUE(writer->Append(std::as_bytes(std::span(bytes))).ok());
    v1::ReadRequest request;
    request.mutable_location()->set_object(writer->Commit().value().sha256);
    return request;
  }
  absl::StatusOr<std::string> Download(const v1::ReadRequest& request) {
    std::string bytes;
    CALDERA_ASSIGN_OR_RETURN(
        result_, DownloadRange(
                     *stub_, request, options_, clock_, [&bytes](std::span<const std::byte> chunk) {
                       bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
                       return absl::OkStatus();
                     }));
    return bytes;
  }
  absl::StatusOr<v1::ObjectRef> Send(const std::string& bytes) {
    const UploadIdentity identity{base::NewUuid(), "lease", 1};
    const auto sent = std::as_bytes(std::span(bytes));
    return Upload(channel_, identity,
                  std::make_shared<const std::vector<std::byte>>(sent.begin(), sent.end()),
                  options_, clock_);
  }
  void ExpectStored(const absl::StatusOr<v1::ObjectRef>& object, const std::string& bytes) {
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->sha256(), base::Sha256Hex(bytes));
    EXPECT_EQ(service_->store().StatObject(object->sha256()).value().size, bytes.size());
  }

  TransferOptions options_ = {
      .retry = {.initial_backoff = absl::Milliseconds(1), .maximum_attempts = 3}};
  base::SystemClock clock_;
  DownloadResult result_;
  std::unique_ptr<CheckpointTestServer> service_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CheckpointService::Stub> stub_;
};

TEST_F(ChunkedTest, DownloadsWholeFilesOfEverySize) {
  Start({});
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kChunkBytes, kChunkBytes + 1}) {
    const std::string bytes = SampleBytes(size);
    EXPECT_EQ(Download(Store(bytes)).value(), bytes) << size;
    EXPECT_EQ(result_.bytes, size);
    EXPECT_EQ(result_.total_size, size);
  }
}

TEST_F(ChunkedTest, DownloadsRanges) {
  Start({});
  const std::string bytes = SampleBytes();
  v1::ReadRequest request = Store(bytes);
  request.set_offset(5);
  request.set_length(static_cast<std::int64_t>(2 * kChunkBytes));
  EXPECT_EQ(Download(request).value(), bytes.substr(5, 2 * kChunkBytes));
  EXPECT_EQ(result_.total_size, bytes.size());
  request.set_length(0);
  EXPECT_EQ(Download(request).value(), bytes.substr(5));
}

TEST_F(ChunkedTest, ResumesABrokenDownloadWhereItBroke) {
  Start({.break_read_after = 2});
  const std::string bytes = SampleBytes();
  EXPECT_EQ(Download(Store(bytes)).value(), bytes);
  EXPECT_EQ(service_->streams(), 2);
}

TEST_F(ChunkedTest, ABreakBeforeTheFirstChunkIsRetried) {
  Start({.break_read_after = 0});
  EXPECT_EQ(Download(Store("abc")).value(), "abc");
  EXPECT_EQ(service_->streams(), 2);
}

TEST_F(ChunkedTest, GivesUpOnAServerThatStaysAway) {
  Start({.refuse_everything = true});
  const auto request = Store("abc");
  const absl::Status status = Download(request).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("object " + request.location().object()));
  EXPECT_EQ(service_->streams(), 3);
  EXPECT_TRUE(absl::IsUnavailable(Send("abc").status()));
}

TEST_F(ChunkedTest, NamesWhatDoesNotExist) {
  Start({});
  v1::ReadRequest request;
  request.mutable_location()->set_object(std::string(64, 'a'));
  EXPECT_TRUE(absl::IsNotFound(Download(request).status()));
  EXPECT_EQ(service_->streams(), 1);
}

TEST_F(ChunkedTest, FindsDamagedChunks) {
  for (const Faults& faults :
       {Faults{.bad_crc = true}, Faults{.bad_offset = true}, Faults{.end_early = true}}) {
    Start(faults);
    const absl::Status status = Download(Store(SampleBytes())).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_EQ(service_->streams(), 1);
    TearDown();
  }
}

TEST_F(ChunkedTest, ASinkMayEndTheDownload) {
  Start({});
  const auto result = DownloadRange(
      *stub_, Store(SampleBytes()), options_, clock_,
      [](std::span<const std::byte>) { return base::ResourceExhausted("disk full"); });
  EXPECT_TRUE(absl::IsResourceExhausted(result.status())) << result.status();
}

TEST_F(ChunkedTest, FillsABuffer) {
  Start({.break_read_after = 1});
  const std::string bytes = SampleBytes();
  v1::ReadRequest request = Store(bytes);
  request.set_offset(100);
  std::string out(2 * kChunkBytes, '?');
  const auto span = std::as_writable_bytes(std::span(out));
  ASSERT_TRUE(DownloadInto(*stub_, request, options_, clock_, span).ok());
  EXPECT_EQ(out, bytes.substr(100, out.size()));
  EXPECT_TRUE(DownloadInto(*stub_, request, options_, clock_, {}).ok());
  request.set_offset(static_cast<std::int64_t>(bytes.size()));
  EXPECT_TRUE(absl::IsOutOfRange(DownloadInto(*stub_, request, options_, clock_, span)));
}

TEST_F(ChunkedTest, UploadsObjectsOfEverySize) {
  Start({});
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kChunkBytes, kChunkBytes + 1}) {
    const std::string bytes = SampleBytes(size);
    ExpectStored(Send(bytes), bytes);
  }
  EXPECT_EQ(service_->streams(), 4);
}

TEST_F(ChunkedTest, ResumesABrokenUploadWhereTheServerStands) {
  Start({.break_write_after = 2});
  const std::string bytes = SampleBytes();
  ExpectStored(Send(bytes), bytes);
  EXPECT_EQ(service_->streams(), 2);
  EXPECT_EQ(service_->received_bytes(), bytes.size());
}

// Another stream of the upload, which broke, is still being served.
TEST_F(ChunkedTest, AsksAgainWhenTheServerExpectsAnotherOffset) {
  Start({.abort_writes = 1});
  const std::string bytes = SampleBytes();
  ExpectStored(Send(bytes), bytes);
  EXPECT_EQ(service_->streams(), 2);
}

TEST_F(ChunkedTest, BeginsAgainWhenTheServerHasForgotten) {
  Start({.break_write_after = 2, .forget_uploads = true});
  const std::string bytes = SampleBytes();
  ExpectStored(Send(bytes), bytes);
  EXPECT_EQ(service_->received_bytes(), bytes.size() + 2 * kChunkBytes);
}

TEST_F(ChunkedTest, AsksAgainForALostAnswer) {
  Start({.lose_write_answers = 1});
  const std::string bytes = SampleBytes();
  ExpectStored(Send(bytes), bytes);
  EXPECT_EQ(service_->received_bytes(), bytes.size());
}

TEST_F(ChunkedTest, FindsAnObjectThatIsNotOurs) {
  Start({.bad_size = true});
  EXPECT_TRUE(absl::IsDataLoss(Send("abc").status()));
}

TEST(Chunk, IsCheckedByOffsetSizeAndCrc) {
  const auto bytes = std::make_shared<const std::vector<std::byte>>(kChunkBytes + 1);
  v1::WriteRequest header;
  const auto check = [&](std::size_t size, std::uint64_t expected_offset) {
    return CheckChunk(WriteMessage::Decode(EncodeWrite(header, bytes, 0, size)).value(),
                      expected_offset);
  };
  header.set_offset(10);
  header.set_crc32c(base::Crc32c(std::span(*bytes).first(3)));
  EXPECT_TRUE(check(3, 10).ok());
  EXPECT_TRUE(absl::IsDataLoss(check(3, 11)));
  EXPECT_TRUE(absl::IsDataLoss(check(4, 10)));
  EXPECT_TRUE(absl::IsInvalidArgument(check(kChunkBytes + 1, 10)));
}

TEST(DescribeLocation, NamesEveryKind) {
  v1::Location location;
  EXPECT_THAT(DescribeLocation(location), HasSubstr("no location"));
  location.set_model_file("m");
  EXPECT_EQ(DescribeLocation(location), "model file m");
  location.set_calibration("");
  EXPECT_EQ(DescribeLocation(location), "calibration text");
  location.set_output_file("o");
  EXPECT_EQ(DescribeLocation(location), "checkpoint file o");
}

}  // namespace
}  // namespace caldera::rpc
