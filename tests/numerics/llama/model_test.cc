#include "numerics/llama/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/llama/reference_block.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using linalg::MatrixF;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

// Windows of lengths 1, 2, ... that are no multiple of anything.
std::vector<Ids> SomeIds(std::size_t count) {
  std::vector<Ids> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(RandomIds(1 + 37 * i % 50, 50, static_cast<unsigned>(i)));
  }
  return ids;
}

std::vector<Window> Views(const std::vector<Ids>& ids) { return ids; }

ActivationSet RunAll(const model::ModelConfig& config, std::span<const Window> windows,
                     const Tap& tap = {}) {
  const MemoryTensors tensors = RandomModel(config);
  ActivationSet set = *Embed(tensors, config, windows);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    RunLayer(config, *LoadLayer(tensors, config, layer), set, tap);
  }
  return set;
}

void ExpectSameBits(const ActivationSet& a, const ActivationSet& b) {
  ASSERT_EQ(a.windows.size(), b.windows.size());
  for (std::size_t i = 0; i < a.windows.size(); ++i) {
    EXPECT_TRUE(SameBits(a.windows[i], b.windows[i])) << i;
  }
}

TEST(Model, GivesTheSameBitsForAnyNumberOfThreads) {
  const std::vector<Ids> ids = SomeIds(9);
  kernels::SetThreads(1);
  const ActivationSet one = RunAll(TinyConfig(), Views(ids));
  for (const int threads : {2, 3, 16}) {
    kernels::SetThreads(threads);
    ExpectSameBits(one, RunAll(TinyConfig(), Views(ids)));
  }
  kernels::SetThreads(2);
}

TEST(Model, GivesTheSameBitsForAnyGroupingOfWindows) {
  const std::vector<Ids> ids = SomeIds(7);
  const std::vector<Window> windows = Views(ids);
  const ActivationSet together = RunAll(TinyConfig(), windows);
  ActivationSet apart;
  for (const auto& group : {std::pair{0, 1}, std::pair{1, 4}, std::pair{5, 2}}) {
    ActivationSet part =
        RunAll(TinyConfig(), std::span(windows).subspan(static_cast<std::size_t>(group.first),
                                                        static_cast<std::size_t>(group.second)));
    for (MatrixF& window : part.windows) apart.windows.push_back(std::move(window));
  }
  ExpectSameBits(together, apart);
}

TEST(Model, MatchesTheReferenceThroughAllLayers) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Ids> ids = {RandomIds(21, 50, 3)};
  MatrixD expected = Widen(*EmbedTokens(tensors, config, ids[0]));
  for (int layer = 0; layer < 2; ++layer) {
    expected = ReferenceBlock(config, *LoadLayer(tensors, config, layer), expected);
  }
  const ActivationSet set = RunAll(config, Views(ids));
  // Two blocks, each with the error of block_test.cc, the second amplifying the first a little.
  EXPECT_LE(RelativeDifference(set.windows[0].view(), expected), 3 * 0x1p-24 * 10 * 28);
}

TEST(Model, FeedsTapsWindowByWindowAndKindByKind) {
  const std::vector<Ids> ids = SomeIds(11);
  model::ModelConfig config = TinyConfig();
  config.num_hidden_layers = 1;
  std::vector<std::pair<std::int64_t, int>> calls;
  RunAll(config, Views(ids), [&](auto kind, std::int64_t window, linalg::ConstViewF view) {
    calls.emplace_back(window, static_cast<int>(kind));
    EXPECT_EQ(view.rows, static_cast<std::int64_t>(ids[static_cast<std::size_t>(window)].size()));
    EXPECT_EQ(view.columns, model::HessianSize(config, kind));
  });
  ASSERT_EQ(calls.size(), 44U);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i], std::pair(static_cast<std::int64_t>(i / 4), static_cast<int>(i % 4)));
  }
}

TEST(Model, ComputesTheSameWithAndWithoutATap) {
  const std::vector<Ids> ids = SomeIds(5);
  ExpectSameBits(RunAll(TinyConfig(), Views(ids)),
                 RunAll(TinyConfig(), Views(ids), [](auto, auto, auto) {}));
}

TEST(Model, RunsNoWindows) { EXPECT_TRUE(RunAll(TinyConfig(), {}).windows.empty()); }

TEST(Model, NamesTheWindowThatCannotBeEmbedded) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  for (const Ids& bad : {Ids{}, Ids{50}, Ids(513, 1)}) {
    const std::vector<Ids> ids = {{1, 2}, bad};
    const auto set = Embed(tensors, config, Views(ids));
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(set.status()), HasSubstr("window 1"));
  }
}

TEST(Model, ViewsTheWindowsOfACutText) {
  const model::TokenWindows text{3, {1, 2, 3, 4, 5, 6}, 6, false};
  const std::vector<Window> windows = WindowsOf(text);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_THAT(windows[1], testing::ElementsAre(4, 5, 6));
}

}  // namespace
}  // namespace caldera::llama
