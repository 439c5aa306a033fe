#include "coordinator/compression_service.h"

#include "coordinator/watch_reactor.h"

namespace caldera::coordinator {

grpc::ServerUnaryReactor* CompressionService::CreateCompressionJob(
    grpc::CallbackServerContext* context, const v1::CreateCompressionJobRequest* request,
    v1::CompressionJob* response) {
  const Admission admission = guard_->Admit(context, __func__, *request);
  return RunUnary(admission, pools_.slow, response, [this, request, caller = admission.caller] {
    return coordinator_->CreateJob(*request, caller);
  });
}

grpc::ServerUnaryReactor* CompressionService::GetCompressionJob(
    grpc::CallbackServerContext* context, const v1::GetCompressionJobRequest* request,
    v1::CompressionJob* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->GetJob(request->name()); });
}

grpc::ServerUnaryReactor* CompressionService::Estimate(grpc::CallbackServerContext* context,
                                                       const v1::EstimateRequest* request,
                                                       v1::EstimateResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.slow, response,
                  [this, request] { return coordinator_->Estimate(*request); });
}

grpc::ServerUnaryReactor* CompressionService::ListCompressionJobs(
    grpc::CallbackServerContext* context, const v1::ListCompressionJobsRequest* request,
    v1::ListCompressionJobsResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->ListJobs(*request); });
}

grpc::ServerUnaryReactor* CompressionService::CancelCompressionJob(
    grpc::CallbackServerContext* context, const v1::CancelCompressionJobRequest* request,
    v1::CompressionJob* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->CancelJob(request->name()); });
}

grpc::ServerUnaryReactor* CompressionService::ResumeCompressionJob(
    grpc::CallbackServerContext* context, const v1::ResumeCompressionJobRequest* request,
    v1::CompressionJob* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.slow, response,
                  [this, request] { return coordinator_->ResumeJob(*request); });
}

grpc::ServerUnaryReactor* CompressionService::DeleteCompressionJob(
    grpc::CallbackServerContext* context, const v1::DeleteCompressionJobRequest* request,
    google::protobuf::Empty* /*response*/) {
  return RunStatus(guard_->Admit(context, __func__, *request), pools_.slow,
                   [this, request] { return coordinator_->DeleteJob(request->name()); });
}

grpc::ServerUnaryReactor* CompressionService::ListLayers(grpc::CallbackServerContext* context,
                                                         const v1::ListLayersRequest* request,
                                                         v1::ListLayersResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->ListLayers(*request); });
}

grpc::ServerUnaryReactor* CompressionService::ListWorkers(grpc::CallbackServerContext* context,
                                                          const v1::ListWorkersRequest* request,
                                                          v1::ListWorkersResponse* response) {
  return RunUnary(guard_->Admit(context, __func__, *request), pools_.quick, response,
                  [this, request] { return coordinator_->ListWorkers(*request); });
}

grpc::ServerWriteReactor<v1::JobEvent>* CompressionService::WatchCompressionJob(
    grpc::CallbackServerContext* context, const v1::WatchCompressionJobRequest* request) {
  const Admission admission = guard_->Admit(context, __func__, *request);
  if (!admission.status.ok()) {
    return Refuse<grpc::ServerWriteReactor<v1::JobEvent>>(admission.status);
  }
  return StartWatch(coordinator_, pools_.quick.pool, *request);
}

}  // namespace caldera::coordinator
