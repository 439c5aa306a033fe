// A whole coordinator process with real gRPC on 127.0.0.1, and calls of users and workers to it.
#ifndef CALDERA_TESTS_COORDINATOR_PROCESS_FIXTURE_H_
#define CALDERA_TESTS_COORDINATOR_PROCESS_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/build_info.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/process.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {

// Calls a unary method and returns its answer.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub* stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  grpc::ClientContext context;
  rpc::SetTimeout(context, absl::Seconds(60));
  Response response;
  const grpc::Status status = (stub->*method)(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

class CoordinatorProcess : public testing::Test {
 protected:
  using Users = v1::CompressionService::Stub;
  using Workers = v1::DispatchService::Stub;

  CoordinatorProcess() { Start(); }

  ProcessOptions Options() const {
    ProcessOptions options;
    options.state_dir = path("state");
    options.address_file = path("address");
    options.server.listen = "127.0.0.1:0";
    options.core.invariants = InvariantChecks::kOn;
    options.tick = absl::Milliseconds(50);
    return options;
  }
  void Start() {
    process_ = Must(Process::Start(Options(), &clock_, {}));
    channel_ = Must(rpc::MakeChannel(process_->address(), {}));
    users_ = v1::CompressionService::NewStub(channel_);
    workers_ = v1::DispatchService::NewStub(channel_);
    files_ = v1::CheckpointService::NewStub(channel_);
  }
  void Stop() {
    process_->Stop(absl::ZeroDuration());
    process_.reset();
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  absl::StatusOr<v1::CompressionJob> Create(v1::CreateCompressionJobRequest request) {
    *request.mutable_spec() = spec_;
    return Call(users_.get(), &Users::CreateCompressionJob, request);
  }
  v1::CompressionJob Create(const std::string& id) {
    v1::CreateCompressionJobRequest request;
    request.set_job_id(id);
    return Must(Create(request));
  }
  absl::StatusOr<v1::CompressionJob> Get(const std::string& id) {
    v1::GetCompressionJobRequest request;
    request.set_name("compressionJobs/" + id);
    return Call(users_.get(), &Users::GetCompressionJob, request);
  }
  std::unique_ptr<grpc::ClientReader<v1::JobEvent>> Watch(const std::string& id, std::int64_t after,
                                                          grpc::ClientContext* context) {
    rpc::SetTimeout(*context, absl::Seconds(60));
    v1::WatchCompressionJobRequest request;
    request.set_name("compressionJobs/" + id);
    request.set_after_sequence(after);
    return users_->WatchCompressionJob(context, request);
  }

  void Register(const std::string& id) {
    v1::RegisterRequest request;
    request.set_version(base::GetBuildInfo().version);
    request.set_worker_id(id);
    request.set_incarnation("one");
    request.set_host("host");
    registered_ = Must(Call(workers_.get(), &Workers::Register, request));
  }
  v1::Lease Acquire(const std::string& id, int wait_seconds) {
    v1::AcquireLeaseRequest request;
    request.set_worker_id(id);
    request.set_incarnation("one");
    request.set_wait_seconds(wait_seconds);
    return Must(Call(workers_.get(), &Workers::AcquireLease, request)).lease();
  }
  // Uploads through the coordinator, as a worker without the store does.
  v1::ObjectRef Upload(const v1::Lease& lease, const std::vector<std::byte>& bytes) {
    return Must(rpc::Upload(channel_, {base::NewUuid(), lease.lease_id(), lease.attempt()},
                            std::make_shared<const std::vector<std::byte>>(bytes), {}, clock_));
  }
  template <typename Request>
  Request Fenced(const v1::Lease& lease) {
    Request request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    return request;
  }
  void CommitHessians(const v1::Lease& lease) {
    auto request = Fenced<v1::CommitHessiansRequest>(lease);
    for (int i = 0; i < 2 * model::kHessianKindCount; ++i) {
      v1::HessianRef* hessian = request.add_hessians();
      hessian->set_layer(i / model::kHessianKindCount);
      hessian->set_range(lease.task().calibrate().range());
      hessian->set_kind(
          model::HessianKindName(static_cast<model::HessianKind>(i % model::kHessianKindCount)));
      *hessian->mutable_object() = Upload(lease, FloatBytes(16, static_cast<unsigned>(i)));
    }
    Must(Call(workers_.get(), &Workers::CommitHessians, request).status());
  }
  void Work(const v1::Lease& lease) {
    if (lease.task().has_calibrate()) CommitHessians(lease);
    const int layer = lease.task().compress().layer();
    for (int p = 0; lease.task().has_compress() && p < model::kProjectionCount; ++p) {
      auto commit = Fenced<v1::CommitMatrixRequest>(lease);
      *commit.mutable_matrix() = TinyMatrix(layer, p, Upload(lease, MatrixObject(layer, p, 5)));
      Must(Call(workers_.get(), &Workers::CommitMatrix, commit).status());
    }
    auto complete = Fenced<v1::CompleteLeaseRequest>(lease);
    if (lease.task().has_embeddings()) {
      *complete.mutable_shard() = Upload(lease, EmbeddingsObject());
    }
    Must(Call(workers_.get(), &Workers::CompleteLease, complete).status());
  }
  void WorkAll(const std::string& id) {
    for (v1::Lease lease = Acquire(id, 0); !lease.lease_id().empty(); lease = Acquire(id, 0)) {
      Work(lease);
    }
  }

  base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  const v1::JobSpec spec_ = WriteTinyJob(directory_.path());
  base::SystemClock clock_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<v1::CompressionService::Stub> users_;
  std::unique_ptr<v1::DispatchService::Stub> workers_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CheckpointService::Stub> files_;
  v1::RegisterResponse registered_;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_PROCESS_FIXTURE_H_
