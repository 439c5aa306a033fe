// CheckpointService as workers and clients meet it: reads, listings and uploads over real gRPC.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/crc32c.h"
#include "common/base/sha256.h"
#include "coordinator/error_details.h"
#include "tests/coordinator/process_fixture.h"

namespace caldera::coordinator {
namespace {

class Files : public CoordinatorProcess {
 protected:
  absl::StatusOr<std::string> Read(const v1::ReadRequest& request) {
    std::string bytes;
    const absl::StatusOr<rpc::DownloadResult> result =
        rpc::DownloadRange(*files_, request, {}, clock_, [&](std::span<const std::byte> chunk) {
          bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
          return absl::OkStatus();
        });
    if (!result.ok()) return result.status();
    return bytes;
  }
  // One stream of these messages: its status, and the object in `object_`.
  absl::Status Write(const std::vector<v1::WriteRequest>& messages) {
    grpc::ClientContext context;
    rpc::SetTimeout(context, absl::Seconds(60));
    v1::WriteResponse response;
    const auto stream = files_->Write(&context, &response);
    for (const v1::WriteRequest& message : messages) stream->Write(message);
    stream->WritesDone();
    const absl::Status status = rpc::FromGrpc(stream->Finish());
    object_ = response.object();
    return status;
  }
  // A message of a new upload under a lease of job "a".
  v1::WriteRequest FirstMessage() {
    Create("a");
    Register("w1");
    v1::WriteRequest message = Fenced<v1::WriteRequest>(Acquire("w1", 0));
    message.set_upload_id(base::NewUuid());
    return message;
  }
  static void SetChunk(std::int64_t offset, const std::string& data, v1::WriteRequest* message) {
    message->set_offset(offset);
    message->set_data(data);
    message->set_crc32c(base::Crc32c(data));
  }
  v1::ReadRequest Request() const {
    v1::ReadRequest request;
    request.set_job("compressionJobs/a");
    return request;
  }

  v1::ObjectRef object_;
};

TEST_F(Files, ServesModelTextAndOutputOfAKnownJob) {
  Create("a");
  v1::ReadRequest request = Request();
  request.mutable_location()->set_model_file("model.safetensors");
  EXPECT_EQ(Must(Read(request)), Must(base::ReadFile(path("model/model.safetensors"))));
  request.mutable_location()->set_calibration("");
  request.set_offset(10);
  request.set_length(20);
  EXPECT_EQ(Must(Read(request)), std::string(20, 'a'));
  request = Request();
  request.mutable_location()->set_output_file("manifest.json");
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(Files, RefusesWhatIsNotOfTheJob) {
  Create("a");
  v1::ReadRequest request = Request();
  for (const char* name : {"../text.txt", "/etc/passwd", "..", ""}) {
    request.mutable_location()->set_model_file(name);
    EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied) << name;
  }
  request.mutable_location()->set_object(std::string(64, 'a'));
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied);
  request.set_job("compressionJobs/b");
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Files, RefusesRangesBeyondTheFile) {
  Create("a");
  v1::ReadRequest request = Request();
  request.mutable_location()->set_calibration("");
  request.set_offset(2001);
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kOutOfRange);
  request.set_offset(1);
  request.set_length(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(Files, AnUploadOfSeveralChunksBecomesTheObjectOfItsBytes) {
  Create("a");
  Register("w1");
  const v1::Lease lease = Acquire("w1", 0);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 3 * rpc::kChunkBytes + 17}) {
    const std::vector<std::byte> bytes(size, std::byte{7});
    const v1::ObjectRef object = Upload(lease, bytes);
    EXPECT_EQ(object.sha256(), base::Sha256Hex(std::span<const std::byte>(bytes)));
  }
}

TEST_F(Files, ABrokenUploadIsResumedAtTheCommittedSize) {
  v1::WriteRequest message = FirstMessage();
  SetChunk(0, "first half, ", &message);
  EXPECT_TRUE(absl::IsUnavailable(Write({message})));
  v1::QueryWriteStatusRequest query;
  query.set_lease_id(message.lease_id());
  query.set_attempt(message.attempt());
  query.set_upload_id(message.upload_id());
  const auto status =
      Must(Call(files_.get(), &v1::CheckpointService::Stub::QueryWriteStatus, query));
  EXPECT_EQ(status.committed_size(), 12);
  SetChunk(12, "second half", &message);
  message.set_finish(true);
  Must(Write({message}));
  EXPECT_EQ(object_.sha256(), base::Sha256Hex(std::string("first half, second half")));
}

// A stream that broke may still be served when the worker asks where to go on, and beyond that.
TEST_F(Files, AChunkThatIsThereAlreadyIsPassedOver) {
  v1::WriteRequest message = FirstMessage();
  const std::vector<std::pair<int, std::string>> chunks = {
      {0, "one, "}, {5, "two, "}, {0, "one, "}, {5, "two, "}, {10, "three"}};
  std::vector<v1::WriteRequest> messages;
  for (const auto& [offset, data] : chunks) {
    SetChunk(offset, data, &message);
    messages.push_back(message);
  }
  messages.back().set_finish(true);
  Must(Write(messages));
  EXPECT_EQ(object_.sha256(), base::Sha256Hex(std::string("one, two, three")));
}

TEST_F(Files, AGapIsRefused) {
  v1::WriteRequest message = FirstMessage();
  SetChunk(5, "data", &message);
  EXPECT_TRUE(absl::IsAborted(Write({message})));
}

TEST_F(Files, AWriteWithoutALiveLeaseIsRefused) {
  v1::WriteRequest message;
  message.set_upload_id(base::NewUuid());
  message.set_lease_id("none");
  EXPECT_EQ(ReasonOf(Write({message})), kReasonStaleLease);
}

TEST_F(Files, ADamagedChunkIsRefused) {
  v1::WriteRequest message = FirstMessage();
  SetChunk(0, "data", &message);
  message.set_crc32c(1);
  EXPECT_TRUE(absl::IsDataLoss(Write({message})));
}

TEST_F(Files, ListsTheFilesOfTheModel) {
  Create("a");
  v1::ListFilesRequest request;
  request.set_job("compressionJobs/a");
  request.set_set(v1::ListFilesRequest::MODEL);
  const auto response = Must(Call(files_.get(), &v1::CheckpointService::Stub::ListFiles, request));
  ASSERT_EQ(response.files_size(), 3);
  EXPECT_EQ(response.files(0).name(), "config.json");
}

}  // namespace
}  // namespace caldera::coordinator
