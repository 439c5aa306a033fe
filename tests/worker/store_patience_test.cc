#include "worker/store_patience.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "common/base/status.h"

namespace caldera::worker {
namespace {

using testing::HasSubstr;

// Fails so often before it works.
class FlakyIo final : public ObjectIo {
 public:
  FlakyIo(int* failures, absl::Status error) : failures_(failures), error_(std::move(error)) {}
  absl::StatusOr<std::vector<std::byte>> Read(const v1::ObjectRef& object) override {
    if ((*failures_)-- > 0) return error_;
    return std::vector<std::byte>(static_cast<std::size_t>(object.size()));
  }
  absl::StatusOr<v1::ObjectRef> Write(std::span<const std::byte> bytes) override {
    if ((*failures_)-- > 0) return error_;
    v1::ObjectRef object;
    object.set_size(static_cast<std::int64_t>(bytes.size()));
    return object;
  }
  absl::StatusOr<std::unique_ptr<ObjectSink>> Create() override { return error_; }

 private:
  int* const failures_;
  const absl::Status error_;
};

class StorePatienceTest : public testing::Test {
 protected:
  StorePatience Patience(absl::Duration limit) {
    return {limit, [this] { return stop_; },
            [this](const absl::Status& status) { waits_.push_back(base::MessageOf(status)); }};
  }

  absl::Status stop_;
  std::vector<std::string> waits_;
};

TEST_F(StorePatienceTest, WaitsForAStoreThatComesBack) {
  int failures = 2;
  const auto io = MakePatientObjectIo(
      std::make_unique<FlakyIo>(&failures, base::ResourceExhausted("/store: full")),
      Patience(absl::Hours(1)));
  const std::vector<std::byte> bytes(7);

  const auto written = io->Write(bytes);

  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->size(), 7);
  EXPECT_EQ(waits_, (std::vector<std::string>{"/store: full", "/store: full"}));
  failures = 1;
  EXPECT_EQ(io->Read(*written)->size(), 7U);
  EXPECT_EQ(waits_.size(), 3U);
}

TEST_F(StorePatienceTest, GivesUpWithTheLastErrorWhenItsTimeIsOver) {
  const absl::Status status = WhileStoreIsAway(
      Patience(absl::Milliseconds(250)), [] { return base::Unavailable("/store: not there"); });

  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(base::MessageOf(status), "waited 250ms for the store: /store: not there");
  EXPECT_GE(waits_.size(), 2U);
}

TEST_F(StorePatienceTest, DoesNotWaitForErrorsThatWaitingDoesNotMend) {
  const absl::Status status =
      WhileStoreIsAway(Patience(absl::Hours(1)), [] { return base::DataLoss("damaged"); });

  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(waits_.empty());
}

TEST_F(StorePatienceTest, EndsWhenTheTaskIsToStop) {
  stop_ = base::Cancelled("the coordinator cancelled lease 5");

  const absl::Status status =
      WhileStoreIsAway(Patience(absl::Hours(1)), [] { return base::Unavailable("away"); });

  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("lease 5"));
}

}  // namespace
}  // namespace caldera::worker
