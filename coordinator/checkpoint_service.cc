#include "coordinator/checkpoint_service.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/chunked.h"
#include "coordinator/job_files.h"
#include "coordinator/lease_desk.h"
#include "coordinator/request_limits.h"

namespace caldera::coordinator {
namespace {

// A Read stream. There is always exactly one step under way, on the pool or in gRPC, so nothing is
// shared between threads.
class ReadReactor : public grpc::ServerWriteReactor<v1::ReadResponse> {
 public:
  ReadReactor(Coordinator* coordinator, ThreadPool* pool, v1::ReadRequest request)
      : coordinator_(coordinator), pool_(pool), request_(std::move(request)) {
    pool_->Post([this] { Open(); });
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      pool_->Post([this] { SendNext(); });
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }

  void OnDone() override { std::unique_ptr<ReadReactor> owned(this); }

 private:
  void Open() {
    const absl::Status status = TryOpen();
    if (status.ok()) {
      SendNext();
    } else {
      Finish(rpc::ToGrpc(status));
    }
  }

  absl::Status TryOpen() {
    CALDERA_ASSIGN_OR_RETURN(source_,
                             OpenLocation(coordinator_, request_.job(), request_.location()));
    const auto size = static_cast<std::int64_t>(source_->size());
    const std::int64_t length =
        request_.length() == 0 ? size - request_.offset() : request_.length();
    // Written so that no sum can overflow.
    if (request_.offset() < 0 || request_.offset() > size || length < 0 ||
        length > size - request_.offset()) {
      return base::OutOfRange("{}: offset {}, length {} of {} bytes", source_->name(),
                              request_.offset(), request_.length(), size);
    }
    position_ = static_cast<std::uint64_t>(request_.offset());
    end_ = position_ + static_cast<std::uint64_t>(length);
    return absl::OkStatus();
  }

  void SendNext() {
    // An empty range still gets one message: it carries the total size.
    if (position_ == end_ && sent_any_) {
      Finish(grpc::Status::OK);
      return;
    }
    std::vector<std::byte> bytes(std::min<std::uint64_t>(rpc::kChunkBytes, end_ - position_));
    const absl::Status status = source_->Read(position_, bytes);
    if (!status.ok()) {
      Finish(rpc::ToGrpc(status));
      return;
    }
    response_.Clear();
    rpc::FillChunk(position_, bytes, response_);
    if (!sent_any_) response_.set_total_size(static_cast<std::int64_t>(source_->size()));
    sent_any_ = true;
    position_ += bytes.size();
    StartWrite(&response_);
  }

  Coordinator* const coordinator_;
  ThreadPool* const pool_;
  const v1::ReadRequest request_;
  std::unique_ptr<model::ByteSource> source_;
  std::uint64_t position_ = 0;
  std::uint64_t end_ = 0;
  bool sent_any_ = false;
  v1::ReadResponse response_;
};

// A Write stream: while one message is taken on the pool, gRPC reads the next ones.
class WriteReactor : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  WriteReactor(Uploads* uploads, ThreadPool* pool, grpc::ByteBuffer* response)
      : uploads_(uploads), pool_(pool), response_(response) {
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    bool take = false;
    {
      base::MutexLock lock(mutex_);
      reading_ = false;
      if (ok) {
        arrived_.emplace_back().Swap(&incoming_);
        ReadOn();
      } else {
        ended_ = true;
      }
      take = !std::exchange(taking_, true);
    }
    if (take) pool_->Post([this] { TakeAll(); });
  }

  void OnDone() override { std::unique_ptr<WriteReactor> owned(this); }

 private:
  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (reading_ || ended_ || arrived_.size() == kReadAhead) return;
    reading_ = true;
    StartRead(&incoming_);
  }

  // While taking_, which stays so after Finish: then nobody touches the reactor any more.
  void TakeAll() {
    while (true) {
      std::optional<grpc::ByteBuffer> buffer;
      {
        base::MutexLock lock(mutex_);
        if (!arrived_.empty()) {
          buffer.emplace().Swap(&arrived_.front());
          arrived_.pop_front();
          ReadOn();
        } else if (!ended_) {
          taking_ = false;
          return;
        }
      }
      const std::optional<grpc::Status> end =
          buffer.has_value()
              ? Take(*buffer)
              : grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream ended before finish");
      if (!end.has_value()) continue;
      {
        base::MutexLock lock(mutex_);
        ended_ = true;  // what comes now is not read
      }
      Finish(*end);
      return;
    }
  }

  // What ends the call, if anything.
  std::optional<grpc::Status> Take(const grpc::ByteBuffer& buffer) {
    const absl::StatusOr<std::optional<v1::ObjectRef>> result = Write(buffer);
    if (!result.ok()) return rpc::ToGrpc(result.status());
    if (!result->has_value()) return std::nullopt;
    v1::WriteResponse response;
    *response.mutable_object() = **result;
    bool owned = false;
    return grpc::SerializationTraits<v1::WriteResponse>::Serialize(response, response_, &owned);
  }

  absl::StatusOr<std::optional<v1::ObjectRef>> Write(const grpc::ByteBuffer& buffer) {
    CALDERA_ASSIGN_OR_RETURN(const rpc::WriteMessage message, rpc::WriteMessage::Decode(buffer));
    CALDERA_RETURN_IF_ERROR(CheckRequestLimits(message.header()));
    if (key_.upload_id.empty()) key_ = {message.header().upload_id(), FenceOf(message.header())};
    return uploads_->Write(key_, message);
  }

  static constexpr std::size_t kReadAhead = 4;  // messages, so MiB of a stream

  Uploads* const uploads_;
  ThreadPool* const pool_;
  grpc::ByteBuffer* const response_;
  Uploads::Key key_;
  grpc::ByteBuffer incoming_;  // gRPC's while it reads
  base::Mutex mutex_;
  std::deque<grpc::ByteBuffer> arrived_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // no message comes, or none is wanted
};

}  // namespace

grpc::ServerUnaryReactor* CheckpointService::ListFiles(grpc::CallbackServerContext* context,
                                                       const v1::ListFilesRequest* request,
                                                       v1::ListFilesResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.slow, response,
                  [this, request] { return coordinator::ListFiles(coordinator_, *request); });
}

grpc::ServerWriteReactor<v1::ReadResponse>* CheckpointService::Read(
    grpc::CallbackServerContext* context, const v1::ReadRequest* request) {
  const Admission admission = guard_->Admit(context, __func__, *request);
  if (!admission.status.ok()) {
    return Refuse<grpc::ServerWriteReactor<v1::ReadResponse>>(admission.status);
  }
  // gRPC owns the reactor from here on; OnDone ends it.
  return std::make_unique<ReadReactor>(coordinator_, pools_.slow.pool, *request).release();
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CheckpointService::Write(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  const Admission admission = guard_->Admit(context, __func__);
  if (!admission.status.ok()) {
    return Refuse<grpc::ServerReadReactor<grpc::ByteBuffer>>(admission.status);
  }
  return std::make_unique<WriteReactor>(uploads_, pools_.slow.pool, response).release();
}

grpc::ServerUnaryReactor* CheckpointService::QueryWriteStatus(
    grpc::CallbackServerContext* context, const v1::QueryWriteStatusRequest* request,
    v1::QueryWriteStatusResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.slow, response,
                  [this, request]() -> absl::StatusOr<v1::QueryWriteStatusResponse> {
                    CALDERA_ASSIGN_OR_RETURN(
                        const std::int64_t size,
                        uploads_->CommittedSize({request->upload_id(), FenceOf(*request)}));
                    v1::QueryWriteStatusResponse status;
                    status.set_committed_size(size);
                    return status;
                  });
}

}  // namespace caldera::coordinator
