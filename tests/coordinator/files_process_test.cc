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
  v1::ReadRequest Request() const {
    v1::ReadRequest request;
    request.set_job("compressionJobs/a");
    return request;
  }
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
  Create("a");
  Register("w1");
  const v1::Lease lease = Acquire("w1", 0);
  const std::string id = base::NewUuid();
  v1::WriteRequest request = Fenced<v1::WriteRequest>(lease);
  request.set_upload_id(id);
  request.set_data("first half, ");
  request.set_crc32c(base::Crc32c(request.data()));
  {
    grpc::ClientContext context;
    v1::WriteResponse response;
    const auto stream = files_->Write(&context, &response);
    stream->Write(request);
    stream->WritesDone();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  auto query = Fenced<v1::QueryWriteStatusRequest>(lease);
  query.set_upload_id(id);
  const auto status =
      Must(Call(files_.get(), &v1::CheckpointService::Stub::QueryWriteStatus, query));
  EXPECT_EQ(status.committed_size(), 12);
  request.set_offset(12);
  request.set_data("second half");
  request.set_crc32c(base::Crc32c(request.data()));
  request.set_finish(true);
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  stream->Write(request);
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.object().sha256(), base::Sha256Hex(std::string("first half, second half")));
}

// A stream that broke may still be served when the worker asks where to go on, and beyond that.
TEST_F(Files, AChunkThatIsThereAlreadyIsPassedOver) {
  Create("a");
  Register("w1");
  v1::WriteRequest request = Fenced<v1::WriteRequest>(Acquire("w1", 0));
  request.set_upload_id(base::NewUuid());
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  const std::vector<std::pair<int, std::string>> chunks = {
      {0, "one, "}, {5, "two, "}, {0, "one, "}, {5, "two, "}, {10, "three"}};
  for (const auto& [offset, data] : chunks) {
    request.set_offset(offset);
    request.set_data(data);
    request.set_crc32c(base::Crc32c(data));
    request.set_finish(data == "three");
    stream->Write(request);
  }
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.object().sha256(), base::Sha256Hex(std::string("one, two, three")));
}

TEST_F(Files, AGapIsRefused) {
  Create("a");
  Register("w1");
  v1::WriteRequest request = Fenced<v1::WriteRequest>(Acquire("w1", 0));
  request.set_upload_id(base::NewUuid());
  request.set_offset(5);
  request.set_data("data");
  request.set_crc32c(base::Crc32c(request.data()));
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::ABORTED);
}

TEST_F(Files, AWriteWithoutALiveLeaseIsRefused) {
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  v1::WriteRequest request;
  request.set_upload_id(base::NewUuid());
  request.set_lease_id("none");
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(ReasonOf(rpc::FromGrpc(stream->Finish())), kReasonStaleLease);
}

TEST_F(Files, ADamagedChunkIsRefused) {
  Create("a");
  Register("w1");
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  v1::WriteRequest request = Fenced<v1::WriteRequest>(Acquire("w1", 0));
  request.set_upload_id(base::NewUuid());
  request.set_data("data");
  request.set_crc32c(1);
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
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
