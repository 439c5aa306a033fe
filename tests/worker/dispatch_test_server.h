// A real DispatchService in this process: answers as told, and remembers what it was asked.
#ifndef CALDERA_TESTS_WORKER_DISPATCH_TEST_SERVER_H_
#define CALDERA_TESTS_WORKER_DISPATCH_TEST_SERVER_H_

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/status_conversion.h"

namespace caldera::worker {

class DispatchTestServer final : public v1::DispatchService::Service {
 public:
  using Directive = v1::HeartbeatResponse::Directive;

  // The next `count` calls other than heartbeats fail with `status`.
  void FailCalls(int count, const absl::Status& status) {
    base::MutexLock lock(mutex_);
    failures_ = count;
    failure_ = status;
  }
  // What heartbeats are told from now on.
  void Direct(Directive directive) {
    base::MutexLock lock(mutex_);
    directive_ = directive;
  }
  void FailHeartbeats(const absl::Status& status) {
    base::MutexLock lock(mutex_);
    heartbeat_failure_ = status;
  }
  // Heartbeats are not answered from now on, as by a coordinator that hangs.
  void HoldHeartbeats() {
    base::MutexLock lock(mutex_);
    holding_ = true;
  }
  // Blocks until so many more heartbeats have been answered or refused.
  void AwaitHeartbeats(int more) {
    base::MutexLock lock(mutex_);
    const int last = heartbeat_calls_ + more;
    while (heartbeat_calls_ < last) changed_.Wait(mutex_);
  }
  // What the coordinator's clock says from now on.
  void SetTime(absl::Time time) {
    base::MutexLock lock(mutex_);
    time_.set_seconds(absl::ToUnixSeconds(time));
    time_.set_nanos(static_cast<int>(
        absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(absl::ToUnixSeconds(time)))));
  }
  void Offer(const v1::AcquireLeaseResponse& offer) {
    base::MutexLock lock(mutex_);
    offer_ = offer;
  }

  int calls() const { return Get(calls_); }
  // Held heartbeats that the caller cancelled before their deadline.
  int heartbeats_dropped() const { return Get(heartbeats_dropped_); }
  std::vector<v1::RegisterRequest> registrations() const { return Get(registrations_); }
  std::vector<v1::AcquireLeaseRequest> acquisitions() const { return Get(acquisitions_); }
  std::vector<v1::HeartbeatRequest> heartbeats() const { return Get(heartbeats_); }
  std::vector<v1::CommitMatrixRequest> matrices() const { return Get(matrices_); }
  std::vector<v1::CommitHessiansRequest> hessians() const { return Get(hessians_); }
  std::vector<v1::CompleteLeaseRequest> completions() const { return Get(completions_); }
  std::vector<v1::FailLeaseRequest> failures() const { return Get(failed_leases_); }
  std::vector<v1::UnregisterRequest> departures() const { return Get(departures_); }

  grpc::Status Register(grpc::ServerContext* /*context*/, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    response->set_heartbeat_milliseconds(1000);
    *response->mutable_coordinator_time() = Get(time_);
    return Take(*request, registrations_);
  }
  grpc::Status AcquireLease(grpc::ServerContext* /*context*/,
                            const v1::AcquireLeaseRequest* request,
                            v1::AcquireLeaseResponse* response) override {
    *response = Get(offer_);
    return Take(*request, acquisitions_);
  }
  grpc::Status Heartbeat(grpc::ServerContext* context, const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override {
    base::MutexLock lock(mutex_);
    ++heartbeat_calls_;
    changed_.NotifyAll();
    while (holding_ && !context->IsCancelled()) changed_.WaitFor(mutex_, absl::Milliseconds(1));
    if (holding_ && std::chrono::system_clock::now() < context->deadline()) ++heartbeats_dropped_;
    response->set_directive(directive_);
    *response->mutable_coordinator_time() = time_;
    if (heartbeat_failure_.ok()) heartbeats_.push_back(*request);
    return rpc::ToGrpc(heartbeat_failure_);
  }
  // A projection that was committed before is told so.
  grpc::Status CommitMatrix(grpc::ServerContext* /*context*/,
                            const v1::CommitMatrixRequest* request,
                            v1::CommitMatrixResponse* response) override {
    const auto before = matrices();
    response->set_already_committed(
        std::any_of(before.begin(), before.end(), [&](const v1::CommitMatrixRequest& old) {
          return old.lease_id() == request->lease_id() &&
                 old.matrix().projection() == request->matrix().projection();
        }));
    return Take(*request, matrices_);
  }
  grpc::Status CommitHessians(grpc::ServerContext* /*context*/,
                              const v1::CommitHessiansRequest* request,
                              v1::CommitHessiansResponse* /*response*/) override {
    return Take(*request, hessians_);
  }
  grpc::Status CompleteLease(grpc::ServerContext* /*context*/,
                             const v1::CompleteLeaseRequest* request,
                             v1::CompleteLeaseResponse* /*response*/) override {
    return Take(*request, completions_);
  }
  grpc::Status FailLease(grpc::ServerContext* /*context*/, const v1::FailLeaseRequest* request,
                         v1::FailLeaseResponse* /*response*/) override {
    return Take(*request, failed_leases_);
  }
  grpc::Status Unregister(grpc::ServerContext* /*context*/, const v1::UnregisterRequest* request,
                          v1::UnregisterResponse* /*response*/) override {
    return Take(*request, departures_);
  }

 private:
  template <typename T>
  T Get(const T& value) const {
    base::MutexLock lock(mutex_);
    return value;
  }
  // A call that fails leaves no trace but its count.
  template <typename Request>
  grpc::Status Take(const Request& request, std::vector<Request>& taken) {
    base::MutexLock lock(mutex_);
    ++calls_;
    if (failures_ > 0) {
      --failures_;
      return rpc::ToGrpc(failure_);
    }
    taken.push_back(request);
    return grpc::Status::OK;
  }

  mutable base::Mutex mutex_;
  int calls_ = 0;
  int failures_ = 0;
  absl::Status failure_;
  base::ConditionVariable changed_;
  int heartbeat_calls_ = 0;
  bool holding_ = false;
  int heartbeats_dropped_ = 0;
  absl::Status heartbeat_failure_;
  Directive directive_ = v1::HeartbeatResponse::CONTINUE;
  google::protobuf::Timestamp time_;
  v1::AcquireLeaseResponse offer_;
  std::vector<v1::RegisterRequest> registrations_;
  std::vector<v1::AcquireLeaseRequest> acquisitions_;
  std::vector<v1::HeartbeatRequest> heartbeats_;
  std::vector<v1::CommitMatrixRequest> matrices_;
  std::vector<v1::CommitHessiansRequest> hessians_;
  std::vector<v1::CompleteLeaseRequest> completions_;
  std::vector<v1::FailLeaseRequest> failed_leases_;
  std::vector<v1::UnregisterRequest> departures_;
};

}  // namespace caldera::worker

#endif  // CALDERA_TESTS_WORKER_DISPATCH_TEST_SERVER_H_
