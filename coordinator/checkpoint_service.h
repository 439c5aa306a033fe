// CheckpointService over job_files.h and uploads.h: 1 MiB chunks, each step of a stream on the
// pool.
#ifndef CALDERA_COORDINATOR_CHECKPOINT_SERVICE_H_
#define CALDERA_COORDINATOR_CHECKPOINT_SERVICE_H_

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "coordinator/coordinator.h"
#include "coordinator/reactors.h"
#include "coordinator/uploads.h"

namespace caldera::coordinator {

// Borrows all. Thread-safe.
class CheckpointService final : public v1::CheckpointService::CallbackService {
 public:
  CheckpointService(Coordinator* coordinator, Uploads* uploads, const AccessGuard* guard,
                    CallPools pools)
      : coordinator_(coordinator), uploads_(uploads), guard_(guard), pools_(pools) {}

  grpc::ServerUnaryReactor* ListFiles(grpc::CallbackServerContext* context,
                                      const v1::ListFilesRequest* request,
                                      v1::ListFilesResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadResponse>* Read(grpc::CallbackServerContext* context,
                                                   const v1::ReadRequest* request) override;
  grpc::ServerReadReactor<v1::WriteRequest>* Write(grpc::CallbackServerContext* context,
                                                   v1::WriteResponse* response) override;
  grpc::ServerUnaryReactor* QueryWriteStatus(grpc::CallbackServerContext* context,
                                             const v1::QueryWriteStatusRequest* request,
                                             v1::QueryWriteStatusResponse* response) override;

 private:
  Coordinator* const coordinator_;
  Uploads* const uploads_;
  const AccessGuard* const guard_;
  const CallPools pools_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_CHECKPOINT_SERVICE_H_
