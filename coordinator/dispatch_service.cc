#include "coordinator/dispatch_service.h"

#include <atomic>
#include <memory>
#include <utility>

namespace caldera::coordinator {
namespace {

// What the waiting call and its reactor share; whoever closes it first answers the call.
struct AcquireGate {
  std::atomic<bool> closed = false;
  std::atomic<Coordinator::WaitId> wait = 0;
};

class AcquireReactor : public grpc::ServerUnaryReactor {
 public:
  explicit AcquireReactor(Coordinator* coordinator) : coordinator_(coordinator) {}

  const std::shared_ptr<AcquireGate>& gate() const { return gate_; }

  void OnCancel() override {
    if (gate_->closed.exchange(true)) return;
    coordinator_->StopWaiting(gate_->wait);
    Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { std::unique_ptr<AcquireReactor> owned(this); }

 private:
  Coordinator* const coordinator_;
  const std::shared_ptr<AcquireGate> gate_ = std::make_shared<AcquireGate>();
};

}  // namespace

grpc::ServerUnaryReactor* DispatchService::Register(grpc::CallbackServerContext* context,
                                                    const v1::RegisterRequest* request,
                                                    v1::RegisterResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->Register(*request); });
}

grpc::ServerUnaryReactor* DispatchService::AcquireLease(grpc::CallbackServerContext* context,
                                                        const v1::AcquireLeaseRequest* request,
                                                        v1::AcquireLeaseResponse* response) {
  const Admission admission = guard_->Admit(context, __func__, *request);
  if (!admission.status.ok()) return Refuse<grpc::ServerUnaryReactor>(admission.status);
  // gRPC owns the reactor from here on; OnDone ends it.
  AcquireReactor* reactor = std::make_unique<AcquireReactor>(coordinator_).release();
  const std::shared_ptr<AcquireGate> gate = reactor->gate();
  auto done = [gate, reactor, response](absl::StatusOr<v1::AcquireLeaseResponse> result) {
    // After a cancellation reactor and response are gone; the lease waits for the worker to ask
    // again.
    if (gate->closed.exchange(true)) return;
    if (result.ok()) *response = *std::move(result);
    reactor->Finish(rpc::ToGrpc(result.status()));
  };
  pools_.quick.pool->Post([this, gate, done = std::move(done), copy = *request] {
    gate->wait = coordinator_->AcquireLease(copy, done);
    // A cancellation before this line did not know what to stop.
    if (gate->closed) coordinator_->StopWaiting(gate->wait);
  });
  return reactor;
}

grpc::ServerUnaryReactor* DispatchService::Heartbeat(grpc::CallbackServerContext* context,
                                                     const v1::HeartbeatRequest* request,
                                                     v1::HeartbeatResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->Heartbeat(*request); });
}

grpc::ServerUnaryReactor* DispatchService::CommitMatrix(grpc::CallbackServerContext* context,
                                                        const v1::CommitMatrixRequest* request,
                                                        v1::CommitMatrixResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.slow, response,
                  [this, request] { return coordinator_->CommitMatrix(*request); });
}

grpc::ServerUnaryReactor* DispatchService::CommitHessians(
    grpc::CallbackServerContext* context, const v1::CommitHessiansRequest* request,
    v1::CommitHessiansResponse* /*response*/) {
  return RunStatus(guard_->Admit(context, __func__, *request), pools_.slow,
                   [this, request] { return coordinator_->CommitHessians(*request); });
}

grpc::ServerUnaryReactor* DispatchService::CompleteLease(grpc::CallbackServerContext* context,
                                                         const v1::CompleteLeaseRequest* request,
                                                         v1::CompleteLeaseResponse* /*response*/) {
  return RunStatus(guard_->Admit(context, __func__, *request), pools_.slow,
                   [this, request] { return coordinator_->CompleteLease(*request); });
}

grpc::ServerUnaryReactor* DispatchService::FailLease(grpc::CallbackServerContext* context,
                                                     const v1::FailLeaseRequest* request,
                                                     v1::FailLeaseResponse* /*response*/) {
  return RunStatus(guard_->Admit(context, __func__, *request), pools_.quick,
                   [this, request] { return coordinator_->FailLease(*request); });
}

grpc::ServerUnaryReactor* DispatchService::Unregister(grpc::CallbackServerContext* context,
                                                      const v1::UnregisterRequest* request,
                                                      v1::UnregisterResponse* /*response*/) {
  return RunStatus(guard_->Admit(context, __func__, *request), pools_.quick,
                   [this, request] { return coordinator_->Unregister(*request); });
}

}  // namespace caldera::coordinator
