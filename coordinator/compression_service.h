// CompressionService over Coordinator: convert, call, convert. Watch streams are woken by the core.
#ifndef CALDERA_COORDINATOR_COMPRESSION_SERVICE_H_
#define CALDERA_COORDINATOR_COMPRESSION_SERVICE_H_

#include "caldera/v1/compression.grpc.pb.h"
#include "coordinator/coordinator.h"
#include "coordinator/reactors.h"

namespace caldera::coordinator {

// Borrows all. Thread-safe.
class CompressionService final : public v1::CompressionService::CallbackService {
 public:
  CompressionService(Coordinator* coordinator, const AccessGuard* guard, CallPools pools)
      : coordinator_(coordinator), guard_(guard), pools_(pools) {}

  grpc::ServerUnaryReactor* CreateCompressionJob(grpc::CallbackServerContext* context,
                                                 const v1::CreateCompressionJobRequest* request,
                                                 v1::CompressionJob* response) override;
  grpc::ServerUnaryReactor* GetCompressionJob(grpc::CallbackServerContext* context,
                                              const v1::GetCompressionJobRequest* request,
                                              v1::CompressionJob* response) override;
  grpc::ServerUnaryReactor* ListCompressionJobs(grpc::CallbackServerContext* context,
                                                const v1::ListCompressionJobsRequest* request,
                                                v1::ListCompressionJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelCompressionJob(grpc::CallbackServerContext* context,
                                                 const v1::CancelCompressionJobRequest* request,
                                                 v1::CompressionJob* response) override;
  grpc::ServerUnaryReactor* ResumeCompressionJob(grpc::CallbackServerContext* context,
                                                 const v1::ResumeCompressionJobRequest* request,
                                                 v1::CompressionJob* response) override;
  grpc::ServerUnaryReactor* DeleteCompressionJob(grpc::CallbackServerContext* context,
                                                 const v1::DeleteCompressionJobRequest* request,
                                                 google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListLayers(grpc::CallbackServerContext* context,
                                       const v1::ListLayersRequest* request,
                                       v1::ListLayersResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchCompressionJob(
      grpc::CallbackServerContext* context, const v1::WatchCompressionJobRequest* request) override;

 private:
  Coordinator* const coordinator_;
  const AccessGuard* const guard_;
  const CallPools pools_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COMPRESSION_SERVICE_H_
