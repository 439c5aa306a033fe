#include "client/compression_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "tests/client/compression_test_server.h"

namespace caldera::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::JobEvent Event(std::int64_t sequence, v1::State state = v1::RUNNING) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.mutable_job()->set_state(state);
  return event;
}

class CompressionClientTest : public testing::Test {
 protected:
  ~CompressionClientTest() override { server_->Shutdown(absl::ZeroDuration()); }

  std::unique_ptr<CompressionClient> Client(absl::Duration patience) {
    return CompressionClient::Connect(server_->address(), {}, patience).value();
  }
  // Sequences of the events seen go to seen_.
  absl::StatusOr<v1::CompressionJob> Watch(CompressionClient& client, std::int64_t after = 0) {
    return client.Watch("x", after, [this](const v1::JobEvent& event) {
      seen_.push_back(event.sequence());
      return event.sequence() < stop_at_;
    });
  }

  CompressionTestServer service_;
  const std::unique_ptr<rpc::Server> server_ = rpc::Server::Start({}, {&service_}).value();
  const std::unique_ptr<CompressionClient> client_ = Client(absl::Hours(1));
  std::vector<std::int64_t> seen_;
  std::int64_t stop_at_ = 1000;
};

TEST(JobName, IsTheSameForBothSpellings) {
  EXPECT_EQ(JobName("x"), "compressionJobs/x");
  EXPECT_EQ(JobName("compressionJobs/x"), "compressionJobs/x");
}

TEST(HasEnded, KnowsTheStatesThatLast) {
  for (const v1::State state : {v1::SUCCEEDED, v1::FAILED, v1::CANCELLED}) {
    EXPECT_TRUE(HasEnded(state));
  }
  for (const v1::State state : {v1::STATE_UNSPECIFIED, v1::PENDING, v1::RUNNING}) {
    EXPECT_FALSE(HasEnded(state));
  }
}

TEST(StatusOfEnd, TellsDamagedBytesFromOtherFailuresAndNamesTheJob) {
  v1::CompressionJob job;
  job.set_name("compressionJobs/a");
  job.set_state(v1::SUCCEEDED);
  EXPECT_TRUE(StatusOfEnd(job).ok());
  job.set_state(v1::CANCELLED);
  EXPECT_TRUE(absl::IsCancelled(StatusOfEnd(job)));
  job.set_state(v1::FAILED);
  for (const auto& [error, code] :
       {std::pair{absl::StatusCode::kNotFound, absl::StatusCode::kInternal},
        std::pair{absl::StatusCode::kUnavailable, absl::StatusCode::kInternal},
        std::pair{absl::StatusCode::kDataLoss, absl::StatusCode::kDataLoss}}) {
    job.mutable_error()->set_code(static_cast<int>(error));
    job.mutable_error()->set_message("the reason");
    EXPECT_EQ(StatusOfEnd(job), absl::Status(code, "compressionJobs/a failed: the reason"));
  }
}

TEST_F(CompressionClientTest, WatchesUntilTheJobHasEnded) {
  service_.AddStream({{Event(1), Event(2), Event(3, v1::SUCCEEDED)}, absl::OkStatus()});

  const auto job = Watch(*client_);

  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::SUCCEEDED);
  EXPECT_THAT(seen_, ElementsAre(1, 2, 3));
  EXPECT_EQ(service_.watches().front().name(), "compressionJobs/x");
}

TEST_F(CompressionClientTest, GoesOnWhereABrokenStreamEnded) {
  service_.AddStream({{Event(5), Event(6)}, base::Unavailable("restarting")});
  service_.AddStream({{}, base::Unavailable("still restarting")});
  service_.AddStream({{Event(7), Event(8, v1::FAILED)}, absl::OkStatus()});

  const auto job = Watch(*client_, 4);

  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::FAILED);
  EXPECT_THAT(seen_, ElementsAre(5, 6, 7, 8));
  std::vector<std::int64_t> after;
  for (const auto& watch : service_.watches()) after.push_back(watch.after_sequence());
  EXPECT_THAT(after, ElementsAre(4, 6, 6));
}

TEST_F(CompressionClientTest, AsksForTheJobWhenTheStreamEndsWithoutNews) {
  service_.AddStream({{}, absl::OkStatus()});
  v1::CompressionJob ended;
  ended.set_state(v1::CANCELLED);
  service_.SetJob(ended);

  const auto job = Watch(*client_, 9);

  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::CANCELLED);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(CompressionClientTest, StopsWatchingWhenToldTo) {
  service_.AddStream({{Event(1), Event(2), Event(3)}, absl::OkStatus()});
  stop_at_ = 2;

  EXPECT_TRUE(absl::IsCancelled(Watch(*client_).status()));
  EXPECT_THAT(seen_, ElementsAre(1, 2));
}

TEST_F(CompressionClientTest, DoesNotWatchAnUnknownJob) {
  service_.AddStream({{}, base::NotFound("no job x")});

  EXPECT_EQ(Watch(*client_).status(), absl::NotFoundError("no job x"));
  EXPECT_EQ(service_.watches().size(), 1U);
}

TEST_F(CompressionClientTest, GivesUpWatchingWhenItsPatienceEnds) {
  const auto job = Watch(*Client(absl::ZeroDuration()));

  EXPECT_TRUE(absl::IsUnavailable(job.status()));
  EXPECT_THAT(base::MessageOf(job.status()), HasSubstr(server_->address()));
}

TEST_F(CompressionClientTest, RetriesWhileTheCoordinatorIsAway) {
  service_.FailCalls(1, base::Unavailable("restarting"));
  v1::CompressionJob running;
  running.set_state(v1::RUNNING);
  service_.SetJob(running);

  EXPECT_EQ(client_->Get("x")->state(), v1::RUNNING);
  EXPECT_THAT(service_.asked(), ElementsAre("compressionJobs/x", "compressionJobs/x"));
}

TEST_F(CompressionClientTest, NamesTheCoordinatorThatStaysAway) {
  service_.FailCalls(100, base::Unavailable("restarting"));

  const auto job = Client(absl::ZeroDuration())->Get("x");

  EXPECT_TRUE(absl::IsUnavailable(job.status()));
  EXPECT_THAT(base::MessageOf(job.status()), HasSubstr("coordinator " + server_->address()));
}

TEST_F(CompressionClientTest, PassesOnOtherErrorsAtOnce) {
  service_.FailCalls(2, base::FailedPrecondition("still running"));

  EXPECT_EQ(client_->Delete("x"), absl::FailedPreconditionError("still running"));
  EXPECT_EQ(client_->Cancel("y").status(), absl::FailedPreconditionError("still running"));
  EXPECT_THAT(service_.asked(), ElementsAre("compressionJobs/x", "compressionJobs/y"));
}

TEST_F(CompressionClientTest, ListsAllPages) {
  const auto jobs = client_->List("state=RUNNING");

  ASSERT_TRUE(jobs.ok()) << jobs.status();
  std::vector<std::string> names;
  for (const auto& job : *jobs) names.push_back(job.name());
  EXPECT_THAT(names, ElementsAre("page 1", "page 2", "page 3"));
  EXPECT_THAT(service_.asked(), ElementsAre("state=RUNNING", "state=RUNNING2", "state=RUNNING3"));
}

TEST_F(CompressionClientTest, TellsTheHealthOfTheServer) {
  EXPECT_EQ(client_->Health("").value(), rpc::ServingStatus::kServing);
}

TEST_F(CompressionClientTest, RefusesAnAddressWithoutPort) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      CompressionClient::Connect("127.0.0.1", {}, absl::ZeroDuration()).status()));
}

}  // namespace
}  // namespace caldera::client
