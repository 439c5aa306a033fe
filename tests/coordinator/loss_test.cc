// A coordinator that writes behind, and what becomes of what could not be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "coordinator/commit_queue.h"
#include "coordinator/memory_state_store.h"
#include "tests/coordinator/cluster_fixture.h"
#include "tests/coordinator/gated_store.h"

namespace caldera::coordinator {
namespace {

class Loss : public testing::Test {
 protected:
  Loss() {
    CoordinatorDependencies dependencies;
    dependencies.core = {&queue_, &clock_, &observer_, base::SystemEntropy(), {}};
    dependencies.store = store_.get();
    dependencies.pool = &pool_;
    dependencies.commits = &queue_;
    CoordinatorOptions options;
    options.core.invariants = InvariantChecks::kOn;
    options.version = "test";
    coordinator_ = Must(Coordinator::Open(options, dependencies));
    Register();
    Create();
    Settle();
  }
  ~Loss() override { Settle(); }

  void Register() {
    v1::RegisterRequest request;
    request.set_worker_id("w1");
    request.set_incarnation("one");
    request.set_version("test");
    Must(coordinator_->Register(request).status());
  }
  void Create() {
    v1::CreateCompressionJobRequest request;
    request.set_job_id("a");
    *request.mutable_spec() = spec_;
    Must(coordinator_->CreateJob(request).status());
  }
  // Until nothing is queued anywhere.
  void Settle() {
    for (int round = 0; round < 2; ++round) {
      queue_.Drain();
      pool_.Drain();
      coordinator_->DrainReceipts();
    }
  }
  void Acquire(absl::StatusOr<v1::AcquireLeaseResponse>* answer) {
    v1::AcquireLeaseRequest request;
    request.set_worker_id("w1");
    request.set_incarnation("one");
    coordinator_->AcquireLease(request, [answer](absl::StatusOr<v1::AcquireLeaseResponse> given) {
      *answer = std::move(given);
    });
  }

  base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  const v1::JobSpec spec_ = WriteTinyJob(directory_.path());
  base::ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Observer observer_;
  std::unique_ptr<store::CheckpointStore> store_ = Must(store::OpenStore(directory_.path() + "/s"));
  MemoryStateStore memory_;
  GatedStore gate_{&memory_};
  ThreadPool pool_{1};
  CommitQueue queue_{&gate_};
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_F(Loss, ALeaseIsGivenWhenItIsDurableAndNotBefore) {
  gate_.Close();
  absl::StatusOr<v1::AcquireLeaseResponse> answer = absl::UnknownError("none");
  Acquire(&answer);
  gate_.AwaitWriter();
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnknown);
  gate_.Open();
  Settle();
  EXPECT_EQ(Must(answer).lease().task().task_id(), "calibrate-0");
}

TEST_F(Loss, ALeaseThatCannotBeWrittenIsNotGivenAndItsTaskIsFreeAgain) {
  gate_.SetError(absl::ResourceExhaustedError("the disk is full"));
  absl::StatusOr<v1::AcquireLeaseResponse> answer = absl::UnknownError("none");
  Acquire(&answer);
  Settle();
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(coordinator_->Snapshot().leases, 0);
  EXPECT_EQ(Must(coordinator_->GetJob("compressionJobs/a")).state(), v1::PENDING);

  gate_.SetError(absl::OkStatus());
  Acquire(&answer);
  Settle();
  EXPECT_EQ(Must(answer).lease().task().task_id(), "calibrate-0");
}

TEST_F(Loss, ALeaseThatWasGivenBeforeOutlivesTheLossOfSomethingElse) {
  absl::StatusOr<v1::AcquireLeaseResponse> answer = absl::UnknownError("none");
  Acquire(&answer);
  Settle();
  const v1::Lease lease = Must(answer).lease();
  clock_.Advance(absl::Seconds(80));
  gate_.SetError(absl::UnavailableError("an I/O error"));
  Must(coordinator_->CancelJob("compressionJobs/a").status());
  Settle();
  EXPECT_EQ(Must(coordinator_->GetJob("compressionJobs/a")).state(), v1::RUNNING);

  gate_.SetError(absl::OkStatus());
  clock_.Advance(absl::Seconds(80));
  coordinator_->Tick();
  EXPECT_TRUE(coordinator_->FindLease(FenceOf(lease)).ok());
  EXPECT_EQ(coordinator_->Snapshot().leases, 1);
}

TEST_F(Loss, AWatcherSeesAnEventWhenItIsDurableAndNotBefore) {
  const auto known = Must(coordinator_->ReadEvents("compressionJobs/a", 0)).events;
  ASSERT_EQ(known.size(), 1U);
  std::atomic<int> woken = 0;
  coordinator_->AwaitEvents("compressionJobs/a", known.back().sequence(), [&woken] { ++woken; });
  gate_.Close();
  Must(coordinator_->CancelJob("compressionJobs/a").status());
  gate_.AwaitWriter();
  EXPECT_EQ(woken, 0);
  EXPECT_TRUE(Must(coordinator_->ReadEvents("compressionJobs/a", 1)).events.empty());
  gate_.Open();
  Settle();
  EXPECT_EQ(woken, 1);
  const Coordinator::EventBatch batch = Must(coordinator_->ReadEvents("compressionJobs/a", 1));
  EXPECT_EQ(batch.events.back().type(), "job.cancelled");
  EXPECT_TRUE(batch.ended);
}

}  // namespace
}  // namespace caldera::coordinator
