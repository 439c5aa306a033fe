// DispatchService over Coordinator: convert, call, convert. AcquireLease waits without a thread.
#ifndef CALDERA_COORDINATOR_DISPATCH_SERVICE_H_
#define CALDERA_COORDINATOR_DISPATCH_SERVICE_H_

#include "caldera/v1/dispatch.grpc.pb.h"
#include "coordinator/coordinator.h"
#include "coordinator/reactors.h"

namespace caldera::coordinator {

// Borrows all. Thread-safe.
class DispatchService final : public v1::DispatchService::CallbackService {
 public:
  DispatchService(Coordinator* coordinator, const AccessGuard* guard, CallPools pools)
      : coordinator_(coordinator), guard_(guard), pools_(pools) {}

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* AcquireLease(grpc::CallbackServerContext* context,
                                         const v1::AcquireLeaseRequest* request,
                                         v1::AcquireLeaseResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerUnaryReactor* CommitMatrix(grpc::CallbackServerContext* context,
                                         const v1::CommitMatrixRequest* request,
                                         v1::CommitMatrixResponse* response) override;
  grpc::ServerUnaryReactor* CommitHessians(grpc::CallbackServerContext* context,
                                           const v1::CommitHessiansRequest* request,
                                           v1::CommitHessiansResponse* response) override;
  grpc::ServerUnaryReactor* CompleteLease(grpc::CallbackServerContext* context,
                                          const v1::CompleteLeaseRequest* request,
                                          v1::CompleteLeaseResponse* response) override;
  grpc::ServerUnaryReactor* FailLease(grpc::CallbackServerContext* context,
                                      const v1::FailLeaseRequest* request,
                                      v1::FailLeaseResponse* response) override;
  grpc::ServerUnaryReactor* Unregister(grpc::CallbackServerContext* context,
                                       const v1::UnregisterRequest* request,
                                       v1::UnregisterResponse* response) override;

 private:
  Coordinator* const coordinator_;
  const AccessGuard* const guard_;
  const CallPools pools_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_DISPATCH_SERVICE_H_
