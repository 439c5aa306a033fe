#include "common/rpc/chunked.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/base/crc32c.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_conversion.h"

namespace caldera::rpc {
namespace {

namespace v1 = caldera::v1;

// One download over any number of streams.
class Download {
 public:
  Download(CheckpointStub& stub, const v1::ReadRequest& request, const TransferOptions& options,
           const ChunkSink& sink)
      : stub_(stub),
        request_(request),
        options_(options),
        sink_(sink),
        name_(DescribeLocation(request.location())) {}

  bool done() const { return done_; }
  DownloadResult result() const {
    return {static_cast<std::uint64_t>(delivered_), static_cast<std::uint64_t>(total_size_)};
  }

  // Runs one stream. A broken one that brought bytes counts as success that is not done, so that
  // the retry limit counts only attempts without progress.
  absl::Status RunStream() {
    const std::int64_t before = delivered_;
    const absl::Status status = Receive();
    done_ = status.ok() || (base::IsTransient(status) && Complete());
    if (done_ || (base::IsTransient(status) && delivered_ > before)) return absl::OkStatus();
    return base::WithContext(status, "reading " + name_);
  }

 private:
  absl::Status Receive() {
    grpc::ClientContext context;
    SetTimeout(context, options_.stream_timeout);
    v1::ReadRequest request = request_;
    request.set_offset(request_.offset() + delivered_);
    if (request_.length() > 0) request.set_length(request_.length() - delivered_);
    const auto stream = stub_.Read(&context, request);
    v1::ReadResponse response;
    absl::Status accepted;
    bool first = true;
    while (accepted.ok() && stream->Read(&response)) {
      accepted = Accept(response, std::exchange(first, false));
    }
    if (!accepted.ok()) context.TryCancel();
    const absl::Status finished = FromGrpc(stream->Finish());
    if (!accepted.ok()) return accepted;
    CALDERA_RETURN_IF_ERROR(finished);
    if (Complete() || (first && request_.length() == 0 && !sized_)) return absl::OkStatus();
    return base::DataLoss("stream ends after {} bytes", delivered_);
  }

  absl::Status Accept(const v1::ReadResponse& response, bool first) {
    if (first) CALDERA_RETURN_IF_ERROR(AcceptSize(response.total_size()));
    const std::int64_t expected = request_.offset() + delivered_;
    if (response.offset() != expected) {
      return base::DataLoss("chunk at offset {}, expected {}", response.offset(), expected);
    }
    if (base::Crc32c(response.data()) != response.crc32c()) {
      return base::DataLoss("chunk at offset {} does not match its CRC", expected);
    }
    if (static_cast<std::int64_t>(response.data().size()) > Wanted() - delivered_) {
      return base::DataLoss("more bytes than asked for at offset {}", expected);
    }
    CALDERA_RETURN_IF_ERROR(sink_(std::as_bytes(std::span(response.data()))));
    delivered_ += static_cast<std::int64_t>(response.data().size());
    return absl::OkStatus();
  }

  absl::Status AcceptSize(std::int64_t total_size) {
    if (sized_ && total_size != total_size_) {
      return base::DataLoss("size changed from {} to {} bytes", total_size_, total_size);
    }
    total_size_ = total_size;
    sized_ = true;
    return absl::OkStatus();
  }

  std::int64_t Wanted() const {
    return request_.length() > 0 ? request_.length() : total_size_ - request_.offset();
  }
  bool Complete() const { return sized_ && delivered_ == Wanted(); }

  CheckpointStub& stub_;
  const v1::ReadRequest& request_;
  const TransferOptions& options_;
  const ChunkSink& sink_;
  const std::string name_;
  std::int64_t delivered_ = 0;
  std::int64_t total_size_ = 0;
  bool sized_ = false;
  bool done_ = false;
};

// One upload over any number of streams.
class ObjectUpload {
 public:
  ObjectUpload(const std::shared_ptr<grpc::Channel>& channel, const UploadIdentity& identity,
               const SharedBytes& bytes, const TransferOptions& options)
      : channel_(channel),
        stub_(v1::CheckpointService::NewStub(channel)),
        identity_(identity),
        bytes_(bytes),
        options_(options) {}

  bool done() const { return done_; }
  const v1::ObjectRef& object() const { return object_; }

  // As Download::RunStream. Every stream but the first begins by asking what the server has.
  absl::Status RunStream() {
    const std::size_t before = committed_;
    if (std::exchange(resuming_, true)) {
      CALDERA_RETURN_IF_ERROR(AskCommitted());
      if (committed_ > before) return SendFrom(committed_, Progress::kMade);
    }
    return SendFrom(committed_, Progress::kNone);
  }

 private:
  enum class Progress { kNone, kMade };

  absl::Status AskCommitted() {
    grpc::ClientContext context;
    SetTimeout(context, options_.stream_timeout);
    v1::QueryWriteStatusRequest request;
    request.set_upload_id(identity_.upload_id);
    request.set_lease_id(identity_.lease_id);
    request.set_attempt(identity_.attempt);
    v1::QueryWriteStatusResponse response;
    const absl::Status status = FromGrpc(stub_->QueryWriteStatus(&context, request, &response));
    // A server that restarted has forgotten the upload; it begins again.
    committed_ = absl::IsNotFound(status) ? 0 : static_cast<std::size_t>(response.committed_size());
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    if (committed_ > bytes_->size()) {
      return base::DataLoss("upload {}: server has {} bytes of {}", identity_.upload_id, committed_,
                            bytes_->size());
    }
    return absl::OkStatus();
  }

  absl::Status SendFrom(std::size_t offset, Progress progress) {
    grpc::ClientContext context;
    SetTimeout(context, options_.stream_timeout);
    v1::WriteResponse response;
    const auto stream = StartWrite(&context, &response);
    v1::WriteRequest header;
    header.set_upload_id(identity_.upload_id);
    header.set_lease_id(identity_.lease_id);
    header.set_attempt(identity_.attempt);
    bool open = true;
    do {
      const std::size_t size = std::min(kChunkBytes, bytes_->size() - offset);
      header.set_offset(static_cast<std::int64_t>(offset));
      header.set_crc32c(base::Crc32c(std::span(*bytes_).subspan(offset, size)));
      header.set_finish(offset + size == bytes_->size());
      open = stream->Write(EncodeWrite(header, bytes_, offset, size));
      header.Clear();
      offset += size;
    } while (open && offset < bytes_->size());
    if (open) stream->WritesDone();
    absl::Status status = FromGrpc(stream->Finish());
    // The server has another offset by now: ask again.
    if (absl::IsAborted(status)) status = absl::UnavailableError(status.message());
    done_ = status.ok();
    if (done_) object_ = response.object();
    if (base::IsTransient(status) && progress == Progress::kMade) return absl::OkStatus();
    return base::WithContext(status, "upload " + identity_.upload_id);
  }

  // What stub_->Write() does, for messages that are encoded already.
  std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>> StartWrite(
      grpc::ClientContext* context, v1::WriteResponse* response) const {
    static const std::string name =
        std::string("/") + v1::CheckpointService::service_full_name() + "/Write";
    const grpc::internal::RpcMethod method(name.c_str(),
                                           grpc::internal::RpcMethod::CLIENT_STREAMING, channel_);
    return std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>>(
        grpc::internal::ClientWriterFactory<grpc::ByteBuffer>::Create(channel_.get(), method,
                                                                      context, response));
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::CheckpointService::Stub> stub_;
  const UploadIdentity& identity_;
  const SharedBytes bytes_;
  const TransferOptions& options_;
  v1::ObjectRef object_;
  std::size_t committed_ = 0;
  bool resuming_ = false;
  bool done_ = false;
};

template <typename Transfer>
absl::Status RunToEnd(Transfer& transfer, const TransferOptions& options, base::Clock& clock) {
  while (!transfer.done()) {
    CALDERA_RETURN_IF_ERROR(
        base::Retry(options.retry, clock, [&transfer] { return transfer.RunStream(); }));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DownloadResult> DownloadRange(CheckpointStub& stub, const v1::ReadRequest& request,
                                             const TransferOptions& options, base::Clock& clock,
                                             const ChunkSink& sink) {
  Download download(stub, request, options, sink);
  CALDERA_RETURN_IF_ERROR(RunToEnd(download, options, clock));
  return download.result();
}

absl::Status DownloadInto(CheckpointStub& stub, const v1::ReadRequest& request,
                          const TransferOptions& options, base::Clock& clock,
                          std::span<std::byte> out) {
  if (out.empty()) return absl::OkStatus();
  v1::ReadRequest exact = request;
  exact.set_length(static_cast<std::int64_t>(out.size()));
  // Download never hands over more than the length asked for.
  std::size_t filled = 0;
  return DownloadRange(stub, exact, options, clock,
                       [out, &filled](std::span<const std::byte> chunk) {
                         std::memcpy(out.data() + filled, chunk.data(), chunk.size());
                         filled += chunk.size();
                         return absl::OkStatus();
                       })
      .status();
}

absl::StatusOr<v1::ObjectRef> Upload(const std::shared_ptr<grpc::Channel>& channel,
                                     const UploadIdentity& identity, const SharedBytes& bytes,
                                     const TransferOptions& options, base::Clock& clock) {
  ObjectUpload upload(channel, identity, bytes, options);
  CALDERA_RETURN_IF_ERROR(RunToEnd(upload, options, clock));
  const v1::ObjectRef& object = upload.object();
  if (object.size() != static_cast<std::int64_t>(bytes->size())) {
    return base::DataLoss("upload {}: server stored {} bytes, sent {}", identity.upload_id,
                          object.size(), bytes->size());
  }
  return object;
}

void FillChunk(std::uint64_t offset, std::span<const std::byte> bytes, v1::ReadResponse& response) {
  response.set_offset(static_cast<std::int64_t>(offset));
  response.set_data(bytes.data(), bytes.size());
  response.set_crc32c(base::Crc32c(bytes));
}

absl::Status CheckChunk(const WriteMessage& message, std::uint64_t expected_offset) {
  const std::int64_t offset = message.header().offset();
  if (offset != static_cast<std::int64_t>(expected_offset)) {
    return base::DataLoss("chunk at offset {}, expected {}", offset, expected_offset);
  }
  if (message.size() > kChunkBytes) {
    return base::InvalidArgument("chunk at offset {}: {} bytes, at most {} allowed", offset,
                                 message.size(), kChunkBytes);
  }
  std::uint32_t crc = 0;
  for (const auto& piece : message.pieces()) crc = base::ExtendCrc32c(crc, piece);
  if (crc != message.header().crc32c()) {
    return base::DataLoss("chunk at offset {} does not match its CRC", offset);
  }
  return absl::OkStatus();
}

std::string DescribeLocation(const v1::Location& location) {
  switch (location.kind_case()) {
    case v1::Location::kModelFile:
      return "model file " + location.model_file();
    case v1::Location::kCalibration:
      return "calibration text";
    case v1::Location::kOutputFile:
      return "checkpoint file " + location.output_file();
    case v1::Location::kObject:
      return "object " + location.object();
    case v1::Location::KIND_NOT_SET:
      break;
  }
  return "nothing (no location given)";
}

}  // namespace caldera::rpc
