// The services as clients and workers meet them: a whole coordinator process, real gRPC on
// 127.0.0.1.
#include "coordinator/process.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "common/base/uuid.h"
#include "common/rpc/status_conversion.h"
#include "common/store/checkpoint_reader.h"
#include "coordinator/error_details.h"
#include "tests/coordinator/process_fixture.h"

namespace caldera::coordinator {
namespace {

using testing::HasSubstr;

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

// However far the call has come when it is hung up: not yet waiting, waiting, or answered.
TEST_F(CoordinatorProcess, AWorkerThatHungUpAndLeftKeepsNoUnitFromOthers) {
  Register("w1");
  for (int i = 0; i < 40; ++i) {
    const std::string job = "job-" + std::to_string(i);
    Register("gone");
    grpc::ClientContext context;
    std::thread call([this, &context] {
      v1::AcquireLeaseRequest request;
      request.set_worker_id("gone");
      request.set_incarnation("one");
      request.set_wait_seconds(60);
      v1::AcquireLeaseResponse response;
      (void)workers_->AcquireLease(&context, request, &response);
    });
    if (i % 2 == 0) Create(job);
    std::this_thread::sleep_for(std::chrono::microseconds(50 * i));
    context.TryCancel();
    if (i % 2 == 1) Create(job);
    call.join();
    v1::UnregisterRequest leave;
    leave.set_worker_id("gone");
    leave.set_incarnation("one");
    Must(Call(workers_.get(), &Workers::Unregister, leave).status());
    int calibrations = 0;
    while (calibrations < 2) {
      const v1::Lease lease = Acquire("w1", 30);
      ASSERT_NE(lease.lease_id(), "") << i << " after " << calibrations;
      if (lease.task().has_calibrate()) ++calibrations;
      Work(lease);
    }
    v1::CancelCompressionJobRequest cancel;
    cancel.set_name("compressionJobs/" + job);
    Must(Call(users_.get(), &Users::CancelCompressionJob, cancel).status());
  }
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

}  // namespace
}  // namespace caldera::coordinator
