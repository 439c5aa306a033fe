#include "coordinator/checkpoint_service.h"

#include <algorithm>
#include <memory>
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

// A Write stream: while one message is taken on the pool, gRPC reads the next.
class WriteReactor : public grpc::ServerReadReactor<v1::WriteRequest> {
 public:
  WriteReactor(Uploads* uploads, ThreadPool* pool, v1::WriteResponse* response)
      : uploads_(uploads), pool_(pool), response_(response) {
    StartRead(&requests_[0]);
  }

  void OnReadDone(bool ok) override {
    {
      base::MutexLock lock(mutex_);
      (ok ? arrived_ : ended_) = true;
      // Whoever is busy goes on with it; after Finish nobody does.
      if (busy_) return;
      busy_ = true;
    }
    GoOn();
  }

  void OnDone() override { std::unique_ptr<WriteReactor> owned(this); }

 private:
  // Only while busy_; the last thing a thread does with the reactor.
  void GoOn() {
    v1::WriteRequest* request = nullptr;
    {
      base::MutexLock lock(mutex_);
      if (!arrived_ && !ended_) {
        busy_ = false;
        return;
      }
      if (arrived_) request = &requests_[std::exchange(reading_, 1 - reading_)];
      arrived_ = false;
    }
    if (request == nullptr) {
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream ended before finish"));
      return;
    }
    if (!request->finish()) StartRead(&requests_[reading_]);
    pool_->Post([this, request] { Take(*request); });
  }

  void Take(const v1::WriteRequest& request) {
    const absl::Status limits = CheckRequestLimits(request);
    if (!limits.ok()) {
      Finish(rpc::ToGrpc(limits));
      return;
    }
    if (key_.upload_id.empty()) key_ = {request.upload_id(), FenceOf(request)};
    const absl::StatusOr<std::optional<v1::ObjectRef>> result = uploads_->Write(key_, request);
    if (!result.ok()) {
      Finish(rpc::ToGrpc(result.status()));
    } else if (result->has_value()) {
      *response_->mutable_object() = **result;
      Finish(grpc::Status::OK);
    } else {
      GoOn();
    }
  }

  Uploads* const uploads_;
  ThreadPool* const pool_;
  v1::WriteResponse* const response_;
  Uploads::Key key_;
  v1::WriteRequest requests_[2];
  int reading_ = 0;  // the one that gRPC fills; changed while no read is under way
  base::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;  // a message is being taken; stays after Finish
  bool arrived_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
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

grpc::ServerReadReactor<v1::WriteRequest>* CheckpointService::Write(
    grpc::CallbackServerContext* context, v1::WriteResponse* response) {
  const Admission admission = guard_->Admit(context, __func__);
  if (!admission.status.ok()) {
    return Refuse<grpc::ServerReadReactor<v1::WriteRequest>>(admission.status);
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
