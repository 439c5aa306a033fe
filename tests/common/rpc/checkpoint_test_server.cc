#include "tests/common/rpc/checkpoint_test_server.h"

#include <algorithm>

#include "common/base/status.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"

namespace caldera::rpc {

int CheckpointTestServer::streams() const {
  base::MutexLock lock(mutex_);
  return streams_;
}

std::size_t CheckpointTestServer::received_bytes() const {
  base::MutexLock lock(mutex_);
  return received_;
}

std::vector<std::string> CheckpointTestServer::metadata() const {
  base::MutexLock lock(mutex_);
  return metadata_;
}

absl::Status CheckpointTestServer::Open(const grpc::ServerContext& context) {
  base::MutexLock lock(mutex_);
  ++streams_;
  const auto found = context.client_metadata().find("authorization");
  if (found != context.client_metadata().end()) {
    metadata_.emplace_back(found->second.data(), found->second.size());
  }
  return faults_.refuse_everything ? base::Unavailable("restarting") : absl::OkStatus();
}

bool CheckpointTestServer::TakeBreak(int& after, int chunks) {
  base::MutexLock lock(mutex_);
  if (after < 0 || chunks < after) return false;
  after = -1;
  if (faults_.forget_uploads) uploads_.clear();
  return true;
}

grpc::Status CheckpointTestServer::Read(grpc::ServerContext* context,
                                        const v1::ReadRequest* request,
                                        grpc::ServerWriter<v1::ReadResponse>* writer) {
  absl::Status status = Open(*context);
  if (status.ok()) status = SendChunks(*request, *writer);
  return ToGrpc(status);
}

absl::Status CheckpointTestServer::SendChunks(const v1::ReadRequest& request,
                                              grpc::ServerWriter<v1::ReadResponse>& writer) {
  const std::string& digest = request.location().object();
  CALDERA_ASSIGN_OR_RETURN(const store::ObjectInfo info, store_.StatObject(digest));
  auto offset = static_cast<std::uint64_t>(request.offset());
  const std::uint64_t end =
      request.length() == 0 ? info.size : offset + static_cast<std::uint64_t>(request.length());
  int chunks = 0;
  do {
    if (TakeBreak(faults_.break_read_after, chunks)) return base::Unavailable("cut");
    std::vector<std::byte> bytes(std::min<std::uint64_t>(kChunkBytes, end - offset));
    CALDERA_RETURN_IF_ERROR(store_.ReadObject(digest, offset, bytes));
    v1::ReadResponse response;
    FillChunk(offset, bytes, response);
    response.set_total_size(static_cast<std::int64_t>(info.size));
    base::MutexLock lock(mutex_);
    if (faults_.bad_crc && chunks == 1) response.set_crc32c(response.crc32c() ^ 1);
    if (faults_.bad_offset && chunks == 1) response.set_offset(0);
    writer.Write(response);
    offset += bytes.size();
    if (faults_.end_early) return absl::OkStatus();
    ++chunks;
  } while (offset < end);
  return absl::OkStatus();
}

grpc::Status CheckpointTestServer::Write(grpc::ServerContext* context,
                                         grpc::ServerReader<v1::WriteRequest>* reader,
                                         v1::WriteResponse* response) {
  absl::Status status = Open(*context);
  if (status.ok()) status = ReceiveChunks(*reader, *response);
  return ToGrpc(status);
}

absl::Status CheckpointTestServer::ReceiveChunks(grpc::ServerReader<v1::WriteRequest>& reader,
                                                 v1::WriteResponse& response) {
  std::string id;
  v1::WriteRequest request;
  for (int chunks = 0; reader.Read(&request); ++chunks) {
    if (chunks == 0) id = request.upload_id();
    if (TakeBreak(faults_.break_write_after, chunks)) return base::Unavailable("cut");
    base::MutexLock lock(mutex_);
    CALDERA_RETURN_IF_ERROR(Accept(request, uploads_[id]));
    received_ += request.data().size();
    if (faults_.abort_writes-- > 0) return base::Aborted("another offset is expected");
    if (!request.finish()) continue;
    CALDERA_RETURN_IF_ERROR(Commit(uploads_[id], response));
    if (faults_.lose_write_answers-- > 0) return base::Unavailable("answer lost");
    return absl::OkStatus();
  }
  return base::Aborted("upload {} was not finished", id);
}

absl::Status CheckpointTestServer::Accept(const v1::WriteRequest& request, Upload& upload) {
  // Encoded once more, as CheckChunk knows messages.
  v1::WriteRequest header = request;
  header.clear_data();
  const auto* data = reinterpret_cast<const std::byte*>(request.data().data());
  const auto bytes = std::make_shared<std::vector<std::byte>>(data, data + request.data().size());
  CALDERA_ASSIGN_OR_RETURN(const WriteMessage message,
                           WriteMessage::Decode(EncodeWrite(header, bytes, 0, bytes->size())));
  CALDERA_RETURN_IF_ERROR(CheckChunk(message, upload.bytes.size()));
  if (request.lease_id().empty() != request.upload_id().empty()) {
    return base::InvalidArgument("upload id and lease travel together");
  }
  upload.bytes += request.data();
  return absl::OkStatus();
}

absl::Status CheckpointTestServer::Commit(Upload& upload, v1::WriteResponse& response) {
  CALDERA_ASSIGN_OR_RETURN(const auto writer, store_.Stage("upload"));
  CALDERA_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(upload.bytes))));
  CALDERA_ASSIGN_OR_RETURN(const store::ObjectInfo info, writer->Commit());
  upload.finished = true;
  response.mutable_object()->set_sha256(info.sha256);
  const std::uint64_t size = faults_.bad_size ? info.size + 1 : info.size;
  response.mutable_object()->set_size(static_cast<std::int64_t>(size));
  return absl::OkStatus();
}

grpc::Status CheckpointTestServer::QueryWriteStatus(grpc::ServerContext*,
                                                    const v1::QueryWriteStatusRequest* request,
                                                    v1::QueryWriteStatusResponse* response) {
  base::MutexLock lock(mutex_);
  const auto found = uploads_.find(request->upload_id());
  if (found == uploads_.end()) return ToGrpc(base::NotFound("upload {}", request->upload_id()));
  response->set_committed_size(static_cast<std::int64_t>(found->second.bytes.size()));
  return grpc::Status::OK;
}

}  // namespace caldera::rpc
