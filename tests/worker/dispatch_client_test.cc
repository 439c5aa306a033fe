#include "worker/dispatch_client.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "tests/worker/dispatch_test_server.h"

namespace caldera::worker {
namespace {

class DispatchClientTest : public testing::Test {
 protected:
  ~DispatchClientTest() override { server_->Shutdown(absl::ZeroDuration()); }

  std::unique_ptr<DispatchClient> Client(absl::Duration patience, DispatchObserver observer = {}) {
    WorkerIdentity identity{"worker-7", "incarnation", "1.2.3", "host", 4, 8, 1 << 20};
    return std::make_unique<DispatchClient>(
        v1::DispatchService::NewStub(rpc::MakeChannel(server_->address(), {}).value()),
        std::move(identity), patience, std::move(observer));
  }

  DispatchTestServer service_;
  const std::unique_ptr<rpc::Server> server_ = rpc::Server::Start({}, {&service_}).value();
  const std::unique_ptr<DispatchClient> client_ = Client(absl::Hours(1));
};

TEST_F(DispatchClientTest, LeavesUnderItsIdentityAndAsksOnlyOnce) {
  ASSERT_TRUE(client_->Unregister().ok());
  ASSERT_EQ(service_.departures().size(), 1U);
  EXPECT_EQ(service_.departures().front().worker_id(), "worker-7");
  EXPECT_EQ(service_.departures().front().incarnation(), "incarnation");
  service_.FailCalls(1, base::Unavailable("away"));
  EXPECT_TRUE(absl::IsUnavailable(client_->Unregister()));
  EXPECT_EQ(service_.calls(), 2);
}

TEST_F(DispatchClientTest, RegistersUnderItsIdentity) {
  const auto response = client_->Register();

  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->heartbeat_milliseconds(), 1000);
  ASSERT_EQ(service_.registrations().size(), 1U);
  const v1::RegisterRequest request = service_.registrations().front();
  EXPECT_EQ(request.worker_id(), "worker-7");
  EXPECT_EQ(request.incarnation(), "incarnation");
  EXPECT_EQ(request.version(), "1.2.3");
  EXPECT_EQ(request.host(), "host");
  EXPECT_EQ(request.ranks(), 4);
  EXPECT_EQ(request.threads_per_rank(), 8);
  EXPECT_EQ(request.memory_bytes(), 1 << 20);
}

TEST_F(DispatchClientTest, AcquiresNothingWhenThereIsNothingToDo) {
  const auto response = client_->AcquireLease(absl::Seconds(3));

  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->has_lease());
  EXPECT_EQ(service_.acquisitions().front().worker_id(), "worker-7");
  EXPECT_EQ(service_.acquisitions().front().incarnation(), "incarnation");
  EXPECT_EQ(service_.acquisitions().front().wait_seconds(), 3);
  EXPECT_FALSE(service_.acquisitions().front().has_available_until());
}

TEST_F(DispatchClientTest, SaysHowLongTheWorkerStays) {
  EXPECT_TRUE(client_->AcquireLease(absl::ZeroDuration(), absl::FromUnixSeconds(1234567)).ok());

  EXPECT_EQ(service_.acquisitions().front().available_until().seconds(), 1234567);
}

TEST_F(DispatchClientTest, AcquiresTheLeaseOffered) {
  v1::AcquireLeaseResponse offer;
  offer.mutable_lease()->set_lease_id("lease-1");
  service_.Offer(offer);

  EXPECT_EQ(client_->AcquireLease(absl::ZeroDuration())->lease().lease_id(), "lease-1");
}

TEST_F(DispatchClientTest, RetriesUntilTheCoordinatorIsBack) {
  service_.FailCalls(2, base::Unavailable("restarting"));

  const auto response = client_->CommitMatrix({});

  EXPECT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(service_.calls(), 3);
  EXPECT_EQ(service_.matrices().size(), 1U);
}

TEST_F(DispatchClientTest, TellsThatAnEarlierCommitStands) {
  EXPECT_FALSE(client_->CommitMatrix({})->already_committed());
  EXPECT_TRUE(client_->CommitMatrix({})->already_committed());
}

TEST_F(DispatchClientTest, RetriesEveryCallThatIsIdempotent) {
  service_.FailCalls(1, base::Unavailable("restarting"));
  EXPECT_TRUE(client_->Register().ok());
  service_.FailCalls(1, base::Unavailable("restarting"));
  EXPECT_TRUE(client_->CommitHessians({}).ok());
  service_.FailCalls(1, base::Unavailable("restarting"));
  EXPECT_TRUE(client_->CompleteLease({}).ok());
  service_.FailCalls(1, base::DeadlineExceeded("slow"));
  EXPECT_TRUE(client_->FailLease({}).ok());
  EXPECT_EQ(service_.calls(), 8);
}

TEST_F(DispatchClientTest, WaitsForACoordinatorWhoseDiskIsFullAndSaysSoOnce) {
  std::vector<absl::Status> told;
  const auto client =
      Client(absl::Hours(1), {[&told](const absl::Status& status) { told.push_back(status); }});
  service_.FailCalls(3, base::ResourceExhausted("state database: full"));

  EXPECT_TRUE(client->CommitMatrix({}).ok());
  EXPECT_EQ(service_.calls(), 4);
  EXPECT_EQ(told, std::vector<absl::Status>{base::ResourceExhausted("state database: full")});
}

TEST_F(DispatchClientTest, ReadsTheCoordinatorsClock) {
  std::vector<ClockReading> readings;
  const auto client = Client(
      absl::Hours(1), {nullptr, [&](const ClockReading& reading) { readings.push_back(reading); }});
  ASSERT_TRUE(client->Register().ok());
  ASSERT_TRUE(client->Heartbeat({}).ok());
  EXPECT_TRUE(readings.empty()) << "a coordinator that does not tell";

  service_.SetTime(absl::FromUnixSeconds(1000) + absl::Milliseconds(500));
  ASSERT_TRUE(client->Register().ok());
  ASSERT_TRUE(client->Heartbeat({}).ok());
  ASSERT_EQ(readings.size(), 2U);
  for (const ClockReading& reading : readings) {
    EXPECT_EQ(reading.coordinator, absl::FromUnixSeconds(1000) + absl::Milliseconds(500));
    EXPECT_LE(reading.sent, reading.received);
  }
}

TEST_F(DispatchClientTest, TellsTheEndOfItsTimeByTheCoordinatorsClock) {
  service_.SetTime(absl::Now() + absl::Hours(1));
  ASSERT_TRUE(client_->Register().ok());
  const absl::Time end = absl::FromUnixSeconds(2'000'000'000);

  ASSERT_TRUE(client_->AcquireLease(absl::ZeroDuration(), end).ok());

  EXPECT_NEAR(static_cast<double>(service_.acquisitions().front().available_until().seconds()),
              2'000'003'600.0, 5);
}

TEST_F(DispatchClientTest, DoesNotRetryAStaleLease) {
  service_.FailCalls(1, base::FailedPrecondition("stale lease"));

  EXPECT_EQ(client_->CompleteLease({}), absl::FailedPreconditionError("stale lease"));
  EXPECT_EQ(service_.calls(), 1);
}

TEST_F(DispatchClientTest, GivesUpWhenItsPatienceEnds) {
  service_.FailCalls(100, base::Unavailable("gone"));

  EXPECT_TRUE(absl::IsUnavailable(Client(absl::ZeroDuration())->CommitHessians({})));
  EXPECT_EQ(service_.calls(), 1);
}

TEST_F(DispatchClientTest, EndsRetriesWhenStopped) {
  service_.FailCalls(100, base::Unavailable("gone"));
  client_->Stop();

  EXPECT_TRUE(absl::IsCancelled(client_->FailLease({})));
}

TEST_F(DispatchClientTest, SendsEachHeartbeatOnceUnderItsIdentity) {
  v1::HeartbeatRequest request;
  request.set_lease_id("lease-1");
  service_.Direct(v1::HeartbeatResponse::DRAIN);

  EXPECT_EQ(client_->Heartbeat(request)->directive(), v1::HeartbeatResponse::DRAIN);
  ASSERT_EQ(service_.heartbeats().size(), 1U);
  EXPECT_EQ(service_.heartbeats().front().worker_id(), "worker-7");
  EXPECT_EQ(service_.heartbeats().front().incarnation(), "incarnation");
  EXPECT_EQ(service_.heartbeats().front().lease_id(), "lease-1");

  service_.FailHeartbeats(base::Unavailable("restarting"));
  EXPECT_TRUE(absl::IsUnavailable(client_->Heartbeat(request).status()));
}

TEST_F(DispatchClientTest, HeartbeatsCanBeStoppedAndAllowedAgain) {
  client_->StopHeartbeats();
  EXPECT_TRUE(absl::IsCancelled(client_->Heartbeat({}).status()));
  EXPECT_TRUE(service_.heartbeats().empty());

  client_->AllowHeartbeats();
  EXPECT_TRUE(client_->Heartbeat({}).ok());
}

TEST_F(DispatchClientTest, ReportsACoordinatorThatIsNotThere) {
  const auto client = Client(absl::ZeroDuration());
  server_->Shutdown(absl::ZeroDuration());

  EXPECT_TRUE(absl::IsUnavailable(client->Register().status()));
}

}  // namespace
}  // namespace caldera::worker
