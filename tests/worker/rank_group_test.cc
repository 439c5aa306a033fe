#include "worker/rank_group.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "numerics/dist/thread_communicator.h"

namespace caldera::worker {
namespace {

// What each rank gets back when rank i says mine[i].
std::vector<absl::Status> Agree(const std::vector<absl::Status>& mine) {
  std::vector<absl::Status> agreed(mine.size());
  dist::RunRanks(static_cast<int>(mine.size()), [&](dist::Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    agreed[rank] = AgreeOnStatus(mine[rank], communicator);
  });
  return agreed;
}

TEST(RankGroup, IsOkWhenEveryRankIs) {
  for (const std::size_t ranks : {1U, 2U, 4U}) {
    for (const absl::Status& status : Agree(std::vector<absl::Status>(ranks))) {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

TEST(RankGroup, TellsTheErrorOfOneRankToAll) {
  for (const std::size_t ranks : {1U, 2U, 4U}) {
    for (std::size_t failing = 0; failing < ranks; ++failing) {
      std::vector<absl::Status> mine(ranks);
      mine[failing] = base::DataLoss("shard {} is torn", failing);

      const std::vector<absl::Status> agreed = Agree(mine);

      const std::string message =
          failing == 0 ? "shard 0 is torn" : fmt::format("rank {0}: shard {0} is torn", failing);
      for (const absl::Status& status : agreed) EXPECT_EQ(status, absl::DataLossError(message));
    }
  }
}

TEST(RankGroup, TakesTheErrorOfTheLowestFailingRank) {
  const std::vector<absl::Status> agreed = Agree(
      {absl::OkStatus(), base::NotFound("no file"), absl::OkStatus(), base::Internal("broken")});

  for (const absl::Status& status : agreed) {
    EXPECT_EQ(status, absl::NotFoundError("rank 1: no file"));
  }
}

TEST(RankGroup, PassesOnAnErrorWithoutMessage) {
  const auto agreed = Agree({absl::CancelledError(), absl::OkStatus()});

  for (const absl::Status& status : agreed) EXPECT_EQ(status, absl::CancelledError());
}

TEST(RankGroup, GivesTheStringOfRankZeroToAll) {
  for (const int ranks : {1, 2, 4}) {
    for (const std::string& text : {std::string(), std::string("x"), std::string(1000, '\0')}) {
      std::vector<std::string> values(static_cast<std::size_t>(ranks));
      dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
        // Those who do not lead start with anything, longer or shorter.
        const auto rank = static_cast<std::size_t>(communicator.rank());
        values[rank] = rank == 0 ? text : std::string(7 * (rank - 1), 'y');
        ShareString(values[rank], communicator);
      });
      for (const std::string& value : values) EXPECT_EQ(value, text);
    }
  }
}

TEST(RankGroup, GivesTheBytesOfRankZeroToAll) {
  for (const int ranks : {1, 2, 4}) {
    for (const std::size_t size : {0U, 1U, 4097U}) {
      std::vector<std::byte> bytes(size);
      for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37);
      std::vector<std::vector<std::byte>> values(static_cast<std::size_t>(ranks));
      dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
        const auto rank = static_cast<std::size_t>(communicator.rank());
        values[rank] = rank == 0 ? bytes : std::vector<std::byte>(3 * rank);
        ShareBytes(values[rank], communicator);
      });
      for (const auto& value : values) EXPECT_EQ(value, bytes);
    }
  }
}

}  // namespace
}  // namespace caldera::worker
