#include "worker/dispatch_client.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/rpc/status_conversion.h"

namespace caldera::worker {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kPartingTimeout = absl::Seconds(5);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackoff = absl::Seconds(5);

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

bool MayRetry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status);
}

}  // namespace

DispatchClient::DispatchClient(std::shared_ptr<v1::DispatchService::StubInterface> stub,
                               WorkerIdentity identity, absl::Duration patience,
                               DispatchObserver observer)
    : stub_(std::move(stub)),
      identity_(std::move(identity)),
      patience_(patience),
      observer_(std::move(observer)) {}

void DispatchClient::ReadClock(absl::Time sent, const google::protobuf::Timestamp& coordinator) {
  if (coordinator.seconds() == 0) return;
  const absl::Time received = absl::Now();
  const absl::Time theirs =
      absl::FromUnixSeconds(coordinator.seconds()) + absl::Nanoseconds(coordinator.nanos());
  coordinator_ahead_milliseconds_ =
      absl::ToInt64Milliseconds(theirs - (sent + (received - sent) / 2));
  if (observer_.on_clock) observer_.on_clock({sent, received, theirs});
}

template <typename Call>
absl::Status DispatchClient::Retry(Call call) {
  const absl::Time give_up = absl::Now() + patience_;
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    grpc::ClientContext context;
    SetDeadline(context, kCallTimeout);
    const absl::Status status = rpc::FromGrpc(call(&context));
    if (status.ok() || !MayRetry(status) || absl::Now() + backoff > give_up) return status;
    if (stopped_) return base::Cancelled("the worker is stopping");
    if (backoff == kFirstBackoff && observer_.on_retry) observer_.on_retry(status);
    absl::SleepFor(backoff);
    backoff = std::min(backoff * 2, kLongestBackoff);
  }
}

absl::StatusOr<v1::RegisterResponse> DispatchClient::Register() {
  v1::RegisterRequest request;
  request.set_worker_id(identity_.worker_id);
  request.set_incarnation(identity_.incarnation);
  request.set_version(identity_.version);
  request.set_ranks(identity_.ranks);
  request.set_threads_per_rank(identity_.threads_per_rank);
  request.set_memory_bytes(identity_.memory_bytes);
  request.set_host(identity_.host);
  v1::RegisterResponse response;
  absl::Time sent;
  CALDERA_RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    sent = absl::Now();
    return stub_->Register(context, request, &response);
  }));
  ReadClock(sent, response.coordinator_time());
  return response;
}

absl::StatusOr<v1::AcquireLeaseResponse> DispatchClient::AcquireLease(absl::Duration wait,
                                                                      absl::Time available_until) {
  v1::AcquireLeaseRequest request;
  request.set_worker_id(identity_.worker_id);
  request.set_incarnation(identity_.incarnation);
  request.set_wait_seconds(static_cast<std::int32_t>(absl::ToInt64Seconds(wait)));
  if (available_until != absl::InfiniteFuture()) {
    // In the coordinator's time: what counts there is its clock.
    const absl::Duration ahead = absl::Milliseconds(coordinator_ahead_milliseconds_.load());
    request.mutable_available_until()->set_seconds(absl::ToUnixSeconds(available_until + ahead));
  }
  v1::AcquireLeaseResponse response;
  grpc::ClientContext context;
  SetDeadline(context, wait + kCallTimeout);
  {
    const base::MutexLock lock(mutex_);
    if (stopped_) return base::Cancelled("the worker is stopping");
    polling_ = &context;
  }
  const absl::Status status = rpc::FromGrpc(stub_->AcquireLease(&context, request, &response));
  const base::MutexLock lock(mutex_);
  polling_ = nullptr;
  if (!status.ok()) return status;
  return response;
}

void DispatchClient::Stop() {
  const base::MutexLock lock(mutex_);
  stopped_ = true;
  if (polling_ != nullptr) polling_->TryCancel();
}

absl::StatusOr<v1::HeartbeatResponse> DispatchClient::Heartbeat(v1::HeartbeatRequest request) {
  request.set_worker_id(identity_.worker_id);
  request.set_incarnation(identity_.incarnation);
  v1::HeartbeatResponse response;
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  {
    const base::MutexLock lock(mutex_);
    if (heartbeats_stopped_) return base::Cancelled("the task is over");
    beating_ = &context;
  }
  const absl::Time sent = absl::Now();
  const absl::Status status = rpc::FromGrpc(stub_->Heartbeat(&context, request, &response));
  const base::MutexLock lock(mutex_);
  beating_ = nullptr;
  if (!status.ok()) return status;
  ReadClock(sent, response.coordinator_time());
  return response;
}

void DispatchClient::StopHeartbeats() {
  const base::MutexLock lock(mutex_);
  heartbeats_stopped_ = true;
  if (beating_ != nullptr) beating_->TryCancel();
}

void DispatchClient::AllowHeartbeats() {
  const base::MutexLock lock(mutex_);
  heartbeats_stopped_ = false;
}

absl::StatusOr<v1::CommitMatrixResponse> DispatchClient::CommitMatrix(
    const v1::CommitMatrixRequest& request) {
  v1::CommitMatrixResponse response;
  CALDERA_RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return stub_->CommitMatrix(context, request, &response);
  }));
  return response;
}

absl::Status DispatchClient::CommitHessians(const v1::CommitHessiansRequest& request) {
  v1::CommitHessiansResponse response;
  return Retry([&](grpc::ClientContext* context) {
    return stub_->CommitHessians(context, request, &response);
  });
}

absl::Status DispatchClient::CompleteLease(const v1::CompleteLeaseRequest& request) {
  v1::CompleteLeaseResponse response;
  return Retry([&](grpc::ClientContext* context) {
    return stub_->CompleteLease(context, request, &response);
  });
}

absl::Status DispatchClient::FailLease(const v1::FailLeaseRequest& request) {
  v1::FailLeaseResponse response;
  return Retry(
      [&](grpc::ClientContext* context) { return stub_->FailLease(context, request, &response); });
}

absl::Status DispatchClient::Unregister() {
  v1::UnregisterRequest request;
  request.set_worker_id(identity_.worker_id);
  request.set_incarnation(identity_.incarnation);
  v1::UnregisterResponse response;
  grpc::ClientContext context;
  SetDeadline(context, kPartingTimeout);
  return rpc::FromGrpc(stub_->Unregister(&context, request, &response));
}

}  // namespace caldera::worker
