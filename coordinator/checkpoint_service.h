// CheckpointService over job_files.h and uploads.h: 1 MiB chunks, each step of a stream on the
// pool.
#ifndef CALDERA_COORDINATOR_CHECKPOINT_SERVICE_H_
#define CALDERA_COORDINATOR_CHECKPOINT_SERVICE_H_

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "coordinator/coordinator.h"
#include "coordinator/reactors.h"
#include "coordinator/uploads.h"

namespace caldera::coordinator {

// Write takes its messages as they arrive (write_message.h).
using CheckpointServiceBase = v1::CheckpointService::WithRawCallbackMethod_Write<
    v1::CheckpointService::WithCallbackMethod_ListFiles<
        v1::CheckpointService::WithCallbackMethod_Read<
            v1::CheckpointService::WithCallbackMethod_QueryWriteStatus<
                v1::CheckpointService::Service>>>>;

// Borrows all. Thread-safe.
class CheckpointService final : public CheckpointServiceBase {
 public:
  CheckpointService(Coordinator* coordinator, Uploads* uploads, const AccessGuard* guard,
                    CallPools pools)
      : coordinator_(coordinator), uploads_(uploads), guard_(guard), pools_(pools) {}

  grpc::ServerUnaryReactor* ListFiles(grpc::CallbackServerContext* context,
                                      const v1::ListFilesRequest* request,
                                      v1::ListFilesResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadResponse>* Read(grpc::CallbackServerContext* context,
                                                   const v1::ReadRequest* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* Write(grpc::CallbackServerContext* context,
                                                   grpc::ByteBuffer* response) override;
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
