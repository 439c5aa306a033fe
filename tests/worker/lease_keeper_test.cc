#include "worker/lease_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "tests/worker/dispatch_test_server.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;

class LeaseKeeperTest : public testing::Test {
 protected:
  LeaseKeeperTest() {
    lease_.set_lease_id("lease-1");
    lease_.set_attempt(3);
  }
  ~LeaseKeeperTest() override { server_->Shutdown(absl::ZeroDuration()); }

  std::unique_ptr<LeaseKeeper> Keeper(absl::Duration drain_timeout = absl::Hours(1)) {
    return std::make_unique<LeaseKeeper>(
        client_, drain_, lease_, LeaseKeeper::Options{absl::Milliseconds(1), drain_timeout});
  }
  // The first may have been on its way before, the last shows that the keeper has seen the second.
  void AwaitAnswers() { service_.AwaitHeartbeats(3); }
  static absl::Status AwaitStop(const LeaseKeeper& keeper) {
    while (keeper.StopReason().ok()) absl::SleepFor(absl::Milliseconds(1));
    return keeper.StopReason();
  }

  v1::Lease lease_;
  DrainSignal drain_;
  DispatchTestServer service_;
  const std::unique_ptr<rpc::Server> server_ = rpc::Server::Start({}, {&service_}).value();
  DispatchClient client_{
      v1::DispatchService::NewStub(rpc::MakeChannel(server_->address(), {}).value()),
      {"worker", "first", "test", "host"},
      absl::ZeroDuration()};
};

TEST_F(LeaseKeeperTest, TellsTheCoordinatorWhatGoesOn) {
  const auto keeper = Keeper();
  keeper->SetStatus("layer 3 mlp.down_proj");
  keeper->Advance();
  keeper->Advance();
  AwaitAnswers();

  const v1::HeartbeatRequest last = service_.heartbeats().back();
  EXPECT_EQ(last.lease_id(), "lease-1");
  EXPECT_EQ(last.attempt(), 3);
  EXPECT_EQ(last.worker_id(), "worker");
  EXPECT_EQ(last.progress(), 3);
  EXPECT_EQ(last.status(), "layer 3 mlp.down_proj");
}

TEST_F(LeaseKeeperTest, GoesOnWhileToldToContinue) {
  const auto keeper = Keeper();
  AwaitAnswers();

  EXPECT_TRUE(keeper->StopReason().ok());
  EXPECT_FALSE(keeper->draining());
}

TEST_F(LeaseKeeperTest, StopsWhenTheCoordinatorCancels) {
  service_.Direct(v1::HeartbeatResponse::CANCEL);
  const auto keeper = Keeper();

  const absl::Status reason = AwaitStop(*keeper);

  EXPECT_TRUE(absl::IsCancelled(reason));
  EXPECT_THAT(base::MessageOf(reason), HasSubstr("lease-1"));
}

TEST_F(LeaseKeeperTest, StopsWhenTheLeaseIsStale) {
  service_.FailHeartbeats(base::FailedPrecondition("lease-1 is another worker's"));
  const auto keeper = Keeper();

  EXPECT_EQ(AwaitStop(*keeper), absl::FailedPreconditionError("lease-1 is another worker's"));
}

TEST_F(LeaseKeeperTest, GoesOnWhileTheCoordinatorIsAway) {
  service_.FailHeartbeats(base::Unavailable("restarting"));
  const auto keeper = Keeper();
  AwaitAnswers();
  EXPECT_TRUE(keeper->StopReason().ok());

  service_.Direct(v1::HeartbeatResponse::CANCEL);
  service_.FailHeartbeats(absl::OkStatus());
  EXPECT_TRUE(absl::IsCancelled(AwaitStop(*keeper)));
}

TEST_F(LeaseKeeperTest, StartsNoNewMatrixWhenTheCoordinatorDrainsIt) {
  service_.Direct(v1::HeartbeatResponse::DRAIN);
  const auto keeper = Keeper();
  while (!keeper->draining()) absl::SleepFor(absl::Milliseconds(1));

  EXPECT_TRUE(keeper->StopReason().ok());
}

TEST_F(LeaseKeeperTest, StartsNoNewMatrixAfterASignal) {
  const auto keeper = Keeper();
  drain_.Request();

  EXPECT_TRUE(keeper->draining());
  EXPECT_TRUE(keeper->StopReason().ok());
}

TEST_F(LeaseKeeperTest, DropsTheMatrixInFlightWhenTheDrainTimeoutIsOver) {
  const auto keeper = Keeper(absl::ZeroDuration());
  drain_.Request();

  const absl::Status reason = AwaitStop(*keeper);

  EXPECT_TRUE(absl::IsCancelled(reason));
  EXPECT_THAT(base::MessageOf(reason), HasSubstr("drain"));
}

TEST_F(LeaseKeeperTest, NoticesADrainAndEndsWhileTheCoordinatorHangs) {
  service_.HoldHeartbeats();
  auto keeper = Keeper(absl::ZeroDuration());
  service_.AwaitHeartbeats(1);
  drain_.Request();

  EXPECT_TRUE(absl::IsCancelled(AwaitStop(*keeper)));
  keeper.reset();
  while (service_.heartbeats_dropped() == 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(LeaseKeeperTest, EndsATaskThatDoesNotStopWhenTold) {
  service_.Direct(v1::HeartbeatResponse::CANCEL);
  std::promise<std::string> hung;
  LeaseKeeper::Options options{absl::Milliseconds(1), absl::Hours(1), absl::Milliseconds(1)};
  options.on_hang = [&hung](const std::string& what) { hung.set_value(what); };
  LeaseKeeper keeper(client_, drain_, lease_, options);
  keeper.SetStatus("layer 3 mlp.down_proj");
  EXPECT_THAT(hung.get_future().get(), HasSubstr("lease-1"));
}

TEST_F(LeaseKeeperTest, ATaskThatMayGoOnDoesNotHang) {
  LeaseKeeper::Options options{absl::Milliseconds(1), absl::Hours(1), absl::ZeroDuration()};
  options.on_hang = [](const std::string& what) { ADD_FAILURE() << what; };
  LeaseKeeper keeper(client_, drain_, lease_, options);
  AwaitAnswers();
}

}  // namespace
}  // namespace caldera::worker
