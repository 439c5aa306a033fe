#include "numerics/llama/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <mutex>

#include "common/base/status.h"
#include "numerics/dist/thread_communicator.h"
#include "numerics/kernels/parallel.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using decompose::HessianSum;
using Ids = std::vector<std::int32_t>;

// Sums over ranks and layers: [layer][kind].
struct Calibration {
  std::vector<std::array<HessianSum, model::kHessianKindCount>> layers;
  std::vector<linalg::MatrixF> hidden;  // of every window after the last layer
};

std::vector<Ids> SomeIds(std::size_t count) {
  std::vector<Ids> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(RandomIds(5 + 7 * i % 20, 50, static_cast<unsigned>(i)));
  }
  return ids;
}

// Each entry is non-zero on one rank only, so the sum is exact.
void AddSum(const HessianSum& part, HessianSum& total) {
  total.size = part.size;
  total.tokens = part.tokens;
  total.packed_lower.resize(part.packed_lower.size());
  for (std::size_t i = 0; i < part.packed_lower.size(); ++i) {
    total.packed_lower[i] += part.packed_lower[i];
  }
}

class Collector {
 public:
  Collector(const model::ModelConfig& config, std::size_t windows) {
    total_.layers.resize(static_cast<std::size_t>(config.num_hidden_layers));
    total_.hidden.resize(windows);
  }
  void AddLayer(int layer, LayerHessians hessians) {
    const std::lock_guard lock(mutex_);
    auto& sums = total_.layers[static_cast<std::size_t>(layer)];
    for (std::size_t k = 0; k < sums.size(); ++k) {
      AddSum(std::move(hessians.accumulators[k]).Take(), sums[k]);
    }
  }
  void AddHidden(const CalibrationSet& set, const dist::Communicator& communicator) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < set.local.windows.size(); ++i) {
      const std::size_t window = i * static_cast<std::size_t>(communicator.size()) +
                                 static_cast<std::size_t>(communicator.rank());
      total_.hidden[window] = set.local.windows[i];
    }
  }
  Calibration Take() { return std::move(total_); }

 private:
  std::mutex mutex_;
  Calibration total_;
};

Calibration Calibrate(const std::vector<Ids>& ids, int ranks) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Window> windows(ids.begin(), ids.end());
  Collector collector(config, ids.size());
  dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
    const model::TensorSource* source = communicator.rank() == 0 ? &tensors : nullptr;
    CalibrationSet set = *EmbedOnRanks(source, config, windows, communicator);
    for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
      const LayerWeights weights = *LoadLayerOnRanks(source, config, layer, communicator);
      LayerHessians hessians = MakeLayerHessians(config, communicator);
      EXPECT_TRUE(CalibrateLayer({config, weights, {}}, set, communicator, hessians).ok());
      collector.AddLayer(layer, std::move(hessians));
    }
    collector.AddHidden(set, communicator);
  });
  return collector.Take();
}

void ExpectSameBits(const Calibration& a, const Calibration& b) {
  for (std::size_t layer = 0; layer < a.layers.size(); ++layer) {
    for (std::size_t k = 0; k < a.layers[layer].size(); ++k) {
      EXPECT_EQ(a.layers[layer][k].tokens, b.layers[layer][k].tokens);
      EXPECT_EQ(a.layers[layer][k].packed_lower, b.layers[layer][k].packed_lower)
          << "layer " << layer << " kind " << k;
    }
  }
  for (std::size_t i = 0; i < a.hidden.size(); ++i) {
    EXPECT_TRUE(SameBits(a.hidden[i], b.hidden[i])) << "window " << i;
  }
}

TEST(Calibrate, GivesTheSameBitsForAnyNumberOfRanksAndThreads) {
  // 11 windows: no multiple of the ranks, and more than one round of one rank.
  const std::vector<Ids> ids = SomeIds(11);
  kernels::SetThreads(1);
  const Calibration one = Calibrate(ids, 1);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const int threads : {1, 2}) {
      kernels::SetThreads(threads);
      ExpectSameBits(one, Calibrate(ids, ranks));
    }
  }
}

TEST(Calibrate, TakesFewerWindowsThanRanks) {
  const std::vector<Ids> ids = SomeIds(1);
  ExpectSameBits(Calibrate(ids, 1), Calibrate(ids, 4));
  EXPECT_EQ(Calibrate({}, 2).layers[0][0].tokens, 0);
}

TEST(Calibrate, SumsTheOuterProductsOfTheTappedActivations) {
  const std::vector<Ids> ids = SomeIds(3);
  const std::vector<Window> windows(ids.begin(), ids.end());
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const Calibration calibration = Calibrate(ids, 2);
  ActivationSet set = *Embed(tensors, config, windows);
  std::vector<double> expected(28 * 29 / 2);
  std::vector<double> magnitude(28 * 29 / 2);
  std::int64_t tokens = 0;
  RunLayer(config, *LoadLayer(tensors, config, 0), set,
           [&](model::HessianKind kind, std::int64_t, linalg::ConstViewF x) {
             if (kind != model::HessianKind::kMlpDown) return;
             tokens += x.rows;
             for (std::int64_t t = 0; t < x.rows; ++t) {
               std::size_t at = 0;
               for (std::int64_t i = 0; i < 28; ++i) {
                 for (std::int64_t j = 0; j <= i; ++j, ++at) {
                   const double product =
                       static_cast<double>(x(t, i)) * static_cast<double>(x(t, j));
                   expected[at] += product;
                   magnitude[at] += std::fabs(product);
                 }
               }
             }
           });
  const HessianSum& sum = calibration.layers[0][3];
  EXPECT_EQ(sum.tokens, tokens);
  ASSERT_EQ(sum.packed_lower.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double bound = static_cast<double>(tokens) * 0x1p-24 * magnitude[i];
    EXPECT_NEAR(static_cast<double>(sum.packed_lower[i]), expected[i], bound) << i;
  }
}

TEST(Calibrate, GivesEveryRankTheErrorOfTheRankThatReads) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  tensors.Remove("model.layers.1.mlp.gate_proj.weight");
  const Ids bad_ids = {1, 99};
  const std::vector<Window> windows = {bad_ids};
  dist::RunRanks(3, [&](dist::Communicator& communicator) {
    const model::TensorSource* source = communicator.rank() == 0 ? &tensors : nullptr;
    const auto layer = LoadLayerOnRanks(source, config, 1, communicator);
    EXPECT_EQ(layer.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(base::MessageOf(layer.status()), testing::HasSubstr("gate_proj"));
    const auto set = EmbedOnRanks(source, config, windows, communicator);
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(set.status()), testing::HasSubstr("window 0"));
  });
}

TEST(Calibrate, StopsBetweenRounds) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Ids> ids = SomeIds(2);
  const std::vector<Window> windows(ids.begin(), ids.end());
  dist::SerialCommunicator communicator;
  CalibrationSet set = *EmbedOnRanks(&tensors, config, windows, communicator);
  const LayerWeights weights = *LoadLayer(tensors, config, 0);
  LayerHessians hessians = MakeLayerHessians(config, communicator);
  const absl::Status status =
      CalibrateLayer({config, weights, {[] { return true; }, {}}}, set, communicator, hessians);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace caldera::llama
