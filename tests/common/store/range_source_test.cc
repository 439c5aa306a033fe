#include "common/store/range_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "common/base/status.h"

namespace caldera::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kKiB = 1 << 10;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSize = 5 * kMiB + 123;

// A server in memory that notes what it was asked for.
struct Server {
  Server() {
    std::mt19937 random(7);
    for (char& c : bytes) c = static_cast<char>(random());
  }
  absl::StatusOr<RangeFacts> Fetch(std::uint64_t offset, std::span<std::byte> out) {
    ranges.emplace_back(offset, out.size());
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return facts;
  }
  std::string bytes = std::string(kSize, '\0');
  RangeFacts facts{kSize, "\"one\""};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
};

class RangeSourceTest : public testing::Test {
 protected:
  // Whether these bytes came out right.
  absl::StatusOr<bool> Read(std::uint64_t offset, std::size_t count) {
    std::string out(count, '?');
    CALDERA_RETURN_IF_ERROR(source_.Read(offset, std::as_writable_bytes(std::span(out))));
    return out == server_.bytes.substr(offset, count);
  }
  Server server_;
  RangeSource source_{"far://x", server_.facts, [this](std::uint64_t offset, auto out) {
                        return server_.Fetch(offset, out);
                      }};
};

using Range = std::pair<std::uint64_t, std::uint64_t>;

TEST_F(RangeSourceTest, ReadsWhatIsThere) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t offset = random() % (kSize + 1);
    const std::uint64_t most = i % 3 == 0 ? kSize : 70 * kKiB;
    EXPECT_TRUE(Read(offset, random() % (std::min(most, kSize - offset) + 1)).value()) << i;
  }
}

TEST_F(RangeSourceTest, FetchesTheHeadOnce) {
  EXPECT_TRUE(Read(0, 8).value());
  EXPECT_TRUE(Read(8, 30000).value());
  EXPECT_TRUE(Read(4096, 4096).value());
  EXPECT_TRUE(Read(0, 256 * kKiB).value());
  EXPECT_THAT(server_.ranges, ElementsAre(Range(0, 256 * kKiB)));
}

TEST_F(RangeSourceTest, AReaderThatGoesOnGetsAMegabyteAhead) {
  for (std::uint64_t offset = kMiB; offset < 3 * kMiB; offset += 64 * kKiB) {
    EXPECT_TRUE(Read(offset, 64 * kKiB).value());
  }
  EXPECT_THAT(server_.ranges, ElementsAre(Range(kMiB, 64 * kKiB), Range(kMiB + 64 * kKiB, kMiB),
                                          Range(2 * kMiB + 64 * kKiB, kMiB)));
}

TEST_F(RangeSourceTest, SamplesAndLargeReadsAreFetchedAsTheyAre) {
  EXPECT_TRUE(Read(3 * kMiB, 4096).value());
  EXPECT_TRUE(Read(kMiB, 4096).value());
  EXPECT_TRUE(Read(kMiB + 4096, 3 * kMiB).value());
  EXPECT_THAT(server_.ranges,
              ElementsAre(Range(3 * kMiB, 4096), Range(kMiB, 4096), Range(kMiB + 4096, 3 * kMiB)));
}

TEST_F(RangeSourceTest, RefusesWhatIsBeyondTheEndWithoutAsking) {
  EXPECT_TRUE(absl::IsOutOfRange(Read(kSize, 1).status()));
  EXPECT_TRUE(absl::IsOutOfRange(Read(~std::uint64_t{0}, 2).status()));
  EXPECT_TRUE(Read(kSize, 0).value());
  EXPECT_THAT(server_.ranges, IsEmpty());
}

TEST_F(RangeSourceTest, NoticesAFileThatWasReplaced) {
  EXPECT_TRUE(Read(2 * kMiB, 100).value());
  server_.facts.etag = "\"two\"";
  const absl::Status status = Read(3 * kMiB, 100).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("far://x: was replaced"));
  server_.facts = {kSize + 1, "\"one\""};
  EXPECT_TRUE(absl::IsDataLoss(Read(4 * kMiB, 100).status()));
}

TEST(SourceCache, OpensAFileOnceAndForgetsFailures) {
  SourceCache cache;
  Server server;
  int opened = 0;
  const SourceCache::Opener fails = [](const std::string& file) {
    return base::NotFound("{}", file);
  };
  const SourceCache::Opener opens = [&](const std::string& file) {
    ++opened;
    return std::make_unique<RangeSource>(
        file, server.facts, [&server](auto offset, auto out) { return server.Fetch(offset, out); });
  };
  EXPECT_TRUE(absl::IsNotFound(cache.Open("x", fails).status()));
  const auto first = cache.Open("x", opens);
  const auto second = cache.Open("x", opens);
  std::byte byte{};
  EXPECT_TRUE((*first)->Read(0, std::span(&byte, 1)).ok());
  EXPECT_TRUE((*second)->Read(1, std::span(&byte, 1)).ok());
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(server.ranges.size(), 1U);
  EXPECT_EQ((*second)->name(), "x");
  EXPECT_EQ((*second)->size(), kSize);
}

}  // namespace
}  // namespace caldera::store
