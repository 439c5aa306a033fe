// The services as clients and workers meet them: a whole coordinator process, real gRPC on
// 127.0.0.1.
#include "coordinator/process.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "caldera/v1/checkpoint.grpc.pb.h"
#include "caldera/v1/compression.grpc.pb.h"
#include "caldera/v1/dispatch.grpc.pb.h"
#include "common/base/build_info.h"
#include "common/base/crc32c.h"
#include "common/base/uuid.h"
#include "common/rpc/channel.h"
#include "common/rpc/chunked.h"
#include "common/rpc/status_conversion.h"
#include "common/store/checkpoint_reader.h"
#include "coordinator/error_details.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

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

TEST_F(CoordinatorProcess, TakesAJobFromCreationToItsLastEventOverGrpc) {
  Create("a");
  grpc::ClientContext context;
  const auto events = Watch("a", 0, &context);
  Register("w1");
  std::thread worker([this] { WorkAll("w1"); });
  v1::JobEvent event;
  std::int64_t sequence = 0;
  int matrices = 0;
  while (events->Read(&event)) {
    EXPECT_EQ(event.sequence(), ++sequence);
    if (event.type() == "matrix.committed") ++matrices;
  }
  worker.join();
  EXPECT_TRUE(events->Finish().ok());
  EXPECT_EQ(event.type(), "job.succeeded");
  EXPECT_EQ(event.job().state(), v1::SUCCEEDED);
  EXPECT_EQ(matrices, 14);
  EXPECT_TRUE(Must(store::VerifyCheckpoint(path("out"))).status().ok());
}

TEST_F(CoordinatorProcess, AWatchIsResumedByItsNumber) {
  Create("a");
  Register("w1");
  WorkAll("w1");
  grpc::ClientContext context;
  const auto events = Watch("a", 3, &context);
  v1::JobEvent event;
  for (std::int64_t expected = 4; events->Read(&event); ++expected) {
    EXPECT_EQ(event.sequence(), expected);
  }
  EXPECT_TRUE(events->Finish().ok());
  EXPECT_EQ(event.type(), "job.succeeded");
}

TEST_F(CoordinatorProcess, ManyWaitingCallsDoNotStarveAShortOne) {
  Create("a");
  Register("w1");
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobEvent>>> watches;
  for (int i = 0; i < 50; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.push_back(Watch("a", 0, contexts.back().get()));
    v1::JobEvent event;
    ASSERT_TRUE(watches.back()->Read(&event));
  }
  EXPECT_TRUE(Get("a").ok());
  for (auto& context : contexts) context->TryCancel();
  for (auto& watch : watches) watch->Finish();
}

TEST_F(CoordinatorProcess, WatchingAnUnknownJobIsNotFound) {
  grpc::ClientContext context;
  const auto events = Watch("nobody", 0, &context);
  v1::JobEvent event;
  EXPECT_FALSE(events->Read(&event));
  const absl::Status status = rpc::FromGrpc(events->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), kReasonJobNotFound);
}

TEST_F(CoordinatorProcess, AWaitingWorkerIsAnsweredWhenAJobArrives) {
  Register("w1");
  v1::Lease lease;
  std::thread worker([this, &lease] { lease = Acquire("w1", 30); });
  Create("a");
  worker.join();
  EXPECT_EQ(lease.task().task_id(), "calibrate-0");
  EXPECT_EQ(lease.spec().decomposition().q_bits(), 2);
}

TEST_F(CoordinatorProcess, ARequestIdMakesOneJob) {
  v1::CreateCompressionJobRequest request;
  request.set_request_id(base::NewUuid());
  const v1::CompressionJob first = Must(Create(request));
  EXPECT_EQ(Must(Create(request)).name(), first.name());
  request.set_priority(3);
  EXPECT_EQ(Create(request).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(CoordinatorProcess, ValidateOnlyMakesNothing) {
  v1::CreateCompressionJobRequest request;
  request.set_job_id("dry");
  request.set_validate_only(true);
  EXPECT_EQ(Must(Create(request)).model().layers(), 2);
  EXPECT_EQ(Get("dry").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CoordinatorProcess, ABadSpecNamesItsFieldsInTheDetails) {
  v1::CreateCompressionJobRequest request;
  *request.mutable_spec() = spec_;
  request.mutable_spec()->mutable_decomposition()->set_q_bits(7);
  const absl::Status status = Call(users_.get(), &Users::CreateCompressionJob, request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidSpec);
  ASSERT_EQ(rpc::GetFieldViolations(status).size(), 1U);
  EXPECT_EQ(rpc::GetFieldViolations(status)[0].field, "decomposition.q_bits");
}

TEST_F(CoordinatorProcess, ListsJobsNewestFirstInPages) {
  for (const char* id : {"a", "b", "c"}) Create(id);
  v1::ListCompressionJobsRequest request;
  request.set_page_size(2);
  const auto first = Must(Call(users_.get(), &Users::ListCompressionJobs, request));
  ASSERT_EQ(first.jobs_size(), 2);
  EXPECT_EQ(first.jobs(0).name(), "compressionJobs/c");
  Create("d");  // does not shift the next page
  request.set_page_token(first.next_page_token());
  const auto second = Must(Call(users_.get(), &Users::ListCompressionJobs, request));
  ASSERT_EQ(second.jobs_size(), 1);
  EXPECT_EQ(second.jobs(0).name(), "compressionJobs/a");
  EXPECT_EQ(second.next_page_token(), "");
  request.set_page_token("x");
  EXPECT_EQ(Call(users_.get(), &Users::ListCompressionJobs, request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(CoordinatorProcess, ListsJobsByState) {
  Create("a");
  v1::ListCompressionJobsRequest request;
  request.set_filter("state=PENDING");
  EXPECT_EQ(Must(Call(users_.get(), &Users::ListCompressionJobs, request)).jobs_size(), 1);
  request.set_filter("state=FAILED");
  EXPECT_EQ(Must(Call(users_.get(), &Users::ListCompressionJobs, request)).jobs_size(), 0);
  request.set_filter("colour=red");
  EXPECT_FALSE(Call(users_.get(), &Users::ListCompressionJobs, request).ok());
}

TEST_F(CoordinatorProcess, ListsLayersAndWorkers) {
  Create("a");
  Register("w1");
  Acquire("w1", 0);
  v1::ListLayersRequest layers;
  layers.set_parent("compressionJobs/a");
  layers.set_page_size(1);
  const auto page = Must(Call(users_.get(), &Users::ListLayers, layers));
  ASSERT_EQ(page.layers_size(), 1);
  EXPECT_EQ(page.layers(0).state(), v1::PENDING);
  EXPECT_EQ(page.next_page_token(), "1");
  const auto workers = Must(Call(users_.get(), &Users::ListWorkers, v1::ListWorkersRequest()));
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(workers.workers(0).state(), "busy");
  EXPECT_THAT(workers.workers(0).lease(), HasSubstr("calibrate-0"));
}

TEST_F(CoordinatorProcess, GoesOnAfterARestartOfTheProcess) {
  Create("a");
  Register("w1");
  const v1::Lease lease = Acquire("w1", 0);
  CommitHessians(lease);
  Stop();
  Start();
  auto complete = Fenced<v1::CompleteLeaseRequest>(lease);
  EXPECT_TRUE(Call(workers_.get(), &Workers::CompleteLease, complete).ok());
  WorkAll("w1");
  grpc::ClientContext context;
  const auto events = Watch("a", 0, &context);
  v1::JobEvent event;
  while (events->Read(&event)) {
  }
  EXPECT_EQ(event.type(), "job.succeeded");
}

TEST_F(CoordinatorProcess, ASecondCoordinatorOnOneStateDirectoryIsRefused) {
  const absl::Status status = Process::Start(Options(), &clock_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(base::MessageOf(status), HasSubstr("in use by another coordinator"));
}

TEST_F(CoordinatorProcess, WritesItsAddressToAFile) {
  EXPECT_EQ(Must(base::ReadFile(path("address"))), process_->address() + "\n");
}

TEST_F(CoordinatorProcess, TheProbeLetsAWorkerRecogniseTheStore) {
  Register("w1");
  const auto store = Must(store::OpenStore(registered_.store_uri()));
  EXPECT_EQ(Must(store->ReadKey(registered_.probe_key())), registered_.probe_content());
  EXPECT_EQ(registered_.heartbeat_milliseconds(), 15000);
}

class Files : public CoordinatorProcess {
 protected:
  absl::StatusOr<std::string> Read(const v1::ReadRequest& request) {
    std::string bytes;
    const absl::StatusOr<rpc::DownloadResult> result =
        rpc::DownloadRange(*files_, request, {}, clock_, [&](std::span<const std::byte> chunk) {
          bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
          return absl::OkStatus();
        });
    if (!result.ok()) return result.status();
    return bytes;
  }
  v1::ReadRequest Request() const {
    v1::ReadRequest request;
    request.set_job("compressionJobs/a");
    return request;
  }
};

TEST_F(Files, ServesModelTextAndOutputOfAKnownJob) {
  Create("a");
  v1::ReadRequest request = Request();
  request.mutable_location()->set_model_file("model.safetensors");
  EXPECT_EQ(Must(Read(request)), Must(base::ReadFile(path("model/model.safetensors"))));
  request.mutable_location()->set_calibration("");
  request.set_offset(10);
  request.set_length(20);
  EXPECT_EQ(Must(Read(request)), std::string(20, 'a'));
  request = Request();
  request.mutable_location()->set_output_file("manifest.json");
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(Files, RefusesWhatIsNotOfTheJob) {
  Create("a");
  v1::ReadRequest request = Request();
  for (const char* name : {"../text.txt", "/etc/passwd", "..", ""}) {
    request.mutable_location()->set_model_file(name);
    EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied) << name;
  }
  request.mutable_location()->set_object(std::string(64, 'a'));
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kPermissionDenied);
  request.set_job("compressionJobs/b");
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Files, RefusesRangesBeyondTheFile) {
  Create("a");
  v1::ReadRequest request = Request();
  request.mutable_location()->set_calibration("");
  request.set_offset(2001);
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kOutOfRange);
  request.set_offset(1);
  request.set_length(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Read(request).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(Files, AnUploadOfSeveralChunksBecomesTheObjectOfItsBytes) {
  Create("a");
  Register("w1");
  const v1::Lease lease = Acquire("w1", 0);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, 3 * rpc::kChunkBytes + 17}) {
    const std::vector<std::byte> bytes(size, std::byte{7});
    const v1::ObjectRef object = Upload(lease, bytes);
    EXPECT_EQ(object.sha256(), base::Sha256Hex(std::span<const std::byte>(bytes)));
  }
}

TEST_F(Files, ABrokenUploadIsResumedAtTheCommittedSize) {
  Create("a");
  Register("w1");
  const v1::Lease lease = Acquire("w1", 0);
  const std::string id = base::NewUuid();
  v1::WriteRequest request = Fenced<v1::WriteRequest>(lease);
  request.set_upload_id(id);
  request.set_data("first half, ");
  request.set_crc32c(base::Crc32c(request.data()));
  {
    grpc::ClientContext context;
    v1::WriteResponse response;
    const auto stream = files_->Write(&context, &response);
    stream->Write(request);
    stream->WritesDone();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  auto query = Fenced<v1::QueryWriteStatusRequest>(lease);
  query.set_upload_id(id);
  const auto status =
      Must(Call(files_.get(), &v1::CheckpointService::Stub::QueryWriteStatus, query));
  EXPECT_EQ(status.committed_size(), 12);
  request.set_offset(12);
  request.set_data("second half");
  request.set_crc32c(base::Crc32c(request.data()));
  request.set_finish(true);
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  stream->Write(request);
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.object().sha256(), base::Sha256Hex(std::string("first half, second half")));
}

TEST_F(Files, AWriteWithoutALiveLeaseIsRefused) {
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  v1::WriteRequest request;
  request.set_upload_id(base::NewUuid());
  request.set_lease_id("none");
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(ReasonOf(rpc::FromGrpc(stream->Finish())), kReasonStaleLease);
}

TEST_F(Files, ADamagedChunkIsRefused) {
  Create("a");
  Register("w1");
  grpc::ClientContext context;
  v1::WriteResponse response;
  const auto stream = files_->Write(&context, &response);
  v1::WriteRequest request = Fenced<v1::WriteRequest>(Acquire("w1", 0));
  request.set_upload_id(base::NewUuid());
  request.set_data("data");
  request.set_crc32c(1);
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(Files, ListsTheFilesOfTheModel) {
  Create("a");
  v1::ListFilesRequest request;
  request.set_job("compressionJobs/a");
  request.set_set(v1::ListFilesRequest::MODEL);
  const auto response = Must(Call(files_.get(), &v1::CheckpointService::Stub::ListFiles, request));
  ASSERT_EQ(response.files_size(), 3);
  EXPECT_EQ(response.files(0).name(), "config.json");
}

}  // namespace
}  // namespace caldera::coordinator
