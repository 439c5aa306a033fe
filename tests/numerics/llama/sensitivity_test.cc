#include "numerics/llama/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "numerics/dist/thread_communicator.h"
#include "numerics/kernels/parallel.h"
#include "numerics/llama/calibrate.h"
#include "numerics/llama/comparison.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using model::Projection;

// Larger than one chunk of the vocabulary and no multiple of it.
model::ModelConfig WideConfig() {
  model::ModelConfig config = TinyConfig();
  config.vocab_size = 4500;
  return config;
}

std::vector<Window> SomeWindows() {
  return {RandomIds(40, 4500, 1), RandomIds(2, 4500, 2), RandomIds(23, 4500, 3)};
}

struct Place {
  int layer;
  Projection projection;
};
const std::vector<Place> kPlaces = {{0, Projection::kQ},
                                    {0, Projection::kV},
                                    {0, Projection::kDown},
                                    {1, Projection::kO},
                                    {1, Projection::kGate}};

// The matrix with every value moved a little.
linalg::MatrixF Moved(const linalg::MatrixF& weight, double spread, unsigned seed) {
  linalg::MatrixF moved = weight;
  const auto count = static_cast<std::size_t>(weight.rows() * weight.columns());
  const std::vector<float> noise = RandomValues(count, spread, seed);
  for (std::size_t i = 0; i < count; ++i) moved.data()[i] += noise[i];
  return moved;
}

constexpr double kSpread = .05;

std::vector<double> Probe(int ranks, double spread = kSpread) {
  const model::ModelConfig config = WideConfig();
  const MemoryTensors tensors = RandomModel(config);
  std::mutex mutex;
  std::vector<std::vector<double>> results;
  dist::RunRanks(ranks, [&](dist::Communicator& communicator) {
    const model::TensorSource* source = communicator.rank() == 0 ? &tensors : nullptr;
    SensitivityProbe probe =
        *SensitivityProbe::Start(source, config, SomeWindows(), {}, communicator);
    unsigned seed = 100;
    for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
      LayerWeights weights = *LoadLayerOnRanks(source, config, layer, communicator);
      for (const Place& place : kPlaces) {
        if (place.layer != layer) continue;
        EXPECT_TRUE(probe
                        .Branch(place.projection,
                                Moved(weights[place.projection].weight, spread, ++seed), weights)
                        .ok());
      }
      EXPECT_TRUE(probe.Advance(weights).ok());
    }
    const auto divergences = probe.Finish(source);
    ASSERT_TRUE(divergences.ok()) << divergences.status();
    const std::lock_guard lock(mutex);
    results.push_back(*divergences);
  });
  for (const auto& result : results) EXPECT_EQ(result, results.front());
  return results.front();
}

// The same by whole models with one matrix replaced.
std::vector<double> Expected() {
  const model::ModelConfig config = WideConfig();
  const MemoryTensors original = RandomModel(config);
  std::vector<double> expected;
  unsigned seed = 100;
  for (const Place& place : kPlaces) {
    const LayerWeights weights = *LoadLayer(original, config, place.layer);
    const linalg::MatrixF moved = Moved(weights[place.projection].weight, kSpread, ++seed);
    MemoryTensors altered = RandomModel(config);
    altered.Values(model::WeightName(place.layer, place.projection))
        .assign(moved.data(), moved.data() + moved.rows() * moved.columns());
    const auto comparison = CompareModels({original, config}, {altered, config}, SomeWindows(), {});
    expected.push_back(comparison->kl.mean);
  }
  return expected;
}

TEST(SensitivityProbe, FindsTheDivergenceOfEachAlteredModel) {
  const std::vector<double> found = Probe(1);
  const std::vector<double> expected = Expected();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_GT(expected[i], 0);
    EXPECT_NEAR(found[i], expected[i], 1e-6 * expected[i]) << i;
  }
}

TEST(SensitivityProbe, FindsNothingWhereNothingIsAltered) {
  for (const double divergence : Probe(2, 0)) EXPECT_EQ(divergence, 0);
}

TEST(SensitivityProbe, GivesTheSameBitsForAnyNumberOfRanksAndThreads) {
  kernels::SetThreads(1);
  const std::vector<double> one = Probe(1);
  for (const int ranks : {1, 2, 4, 7}) {
    for (const int threads : {1, 2}) {
      kernels::SetThreads(threads);
      EXPECT_EQ(Probe(ranks), one) << ranks << " ranks";
    }
  }
}

TEST(SensitivityProbe, LeavesTheLayerAsItWas) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  dist::SerialCommunicator alone;
  SensitivityProbe probe =
      *SensitivityProbe::Start(&tensors, config, std::vector<Window>{{1, 2, 3}}, {}, alone);
  LayerWeights weights = *LoadLayer(tensors, config, 0);
  const linalg::MatrixF before = weights[Projection::kUp].weight;
  EXPECT_TRUE(probe.Branch(Projection::kUp, Moved(before, 1, 1), weights).ok());
  EXPECT_TRUE(SameBits(weights[Projection::kUp].weight, before));
}

// Each function that computes asks; none goes on after the first that was told to leave.
TEST(SensitivityProbe, EndsWhereItIsInterrupted) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  dist::SerialCommunicator alone;
  bool left = false;
  const dist::Interrupt interrupt{[&left] { return left; }, [&left] { return left; }};
  const auto start = [&] {
    return *SensitivityProbe::Start(&tensors, config, std::vector<Window>{{1, 2, 3}}, interrupt,
                                    alone);
  };
  LayerWeights weights = *LoadLayer(tensors, config, 0);
  SensitivityProbe branched = start();
  SensitivityProbe advanced = start();
  SensitivityProbe finished = start();
  left = true;
  EXPECT_TRUE(absl::IsCancelled(
      branched.Branch(Projection::kUp, weights[Projection::kUp].weight, weights)));
  EXPECT_TRUE(absl::IsCancelled(advanced.Advance(weights)));
  EXPECT_TRUE(absl::IsCancelled(finished.Finish(&tensors).status()));
}

TEST(SensitivityProbe, RefusesWindowsThatAreTooShortOrTooLongOnEveryRank) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  for (const std::size_t size : {1U, 257U}) {
    const std::vector<Window> windows = {RandomIds(8, 50, 1), RandomIds(size, 50, 1)};
    dist::RunRanks(2, [&](dist::Communicator& communicator) {
      const model::TensorSource* source = communicator.rank() == 0 ? &tensors : nullptr;
      const auto probe = SensitivityProbe::Start(source, config, windows, {}, communicator);
      EXPECT_TRUE(absl::IsInvalidArgument(probe.status())) << probe.status();
    });
  }
}

TEST(SensitivityProbe, TellsEveryRankThatALogitIsNotFinite) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  dist::RunRanks(2, [&](dist::Communicator& communicator) {
    const model::TensorSource* source = communicator.rank() == 0 ? &tensors : nullptr;
    SensitivityProbe probe =
        *SensitivityProbe::Start(source, config, std::vector<Window>{{1, 2, 3}}, {}, communicator);
    for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
      LayerWeights weights = *LoadLayerOnRanks(source, config, layer, communicator);
      linalg::MatrixF broken = weights[Projection::kDown].weight;
      broken(0, 0) = std::numeric_limits<float>::quiet_NaN();
      if (layer == 0) {
        EXPECT_TRUE(probe.Branch(Projection::kDown, std::move(broken), weights).ok());
      }
      EXPECT_TRUE(probe.Advance(weights).ok());
    }
    EXPECT_TRUE(absl::IsInvalidArgument(probe.Finish(source).status()));
  });
}

}  // namespace
}  // namespace caldera::llama
