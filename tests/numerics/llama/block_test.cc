#include "numerics/llama/block.h"

#include <gtest/gtest.h>

#include "tests/numerics/llama/reference_block.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using linalg::MatrixF;

// About ten products in a row, each a sum of at most 28 terms of size about 1, whose rounding
// errors add up like the root of their number, with room for the gain of norms and softmax.
constexpr double kTolerance = 0x1p-24 * 10 * 28;

struct Result {
  MatrixF hidden;
  BlockActivations activations;
};

Result RunOnce(const model::ModelConfig& config, const LayerWeights& weights, MatrixF hidden) {
  const RopeTable rope = MakeRopeTable(config, hidden.rows());
  Result result{std::move(hidden), {}};
  RunBlock({config, weights, rope}, result.hidden.view(), result.activations);
  return result;
}

void ExpectReference(const model::ModelConfig& config, std::int64_t positions) {
  const auto weights = LoadLayer(RandomModel(config), config, 0);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const MatrixF hidden = RandomMatrix(positions, config.hidden_size, 7);
  const Result result = RunOnce(config, *weights, hidden);
  const MatrixD expected = ReferenceBlock(config, *weights, Widen(hidden));
  EXPECT_LE(RelativeDifference(result.hidden.view(), expected), kTolerance) << positions;
}

TEST(Block, MatchesTheFormulasInFloat64) {
  for (const std::int64_t positions : {1, 2, 17, 130}) ExpectReference(TinyConfig(), positions);
}

TEST(Block, AddsBiasesWhereTheConfigurationHasThem) {
  model::ModelConfig config = TinyConfig();
  config.attention_bias = true;
  config.attention_output_bias = true;
  config.mlp_bias = true;
  ExpectReference(config, 9);
}

TEST(Block, TurnsHeadsByScaledFrequencies) {
  model::ModelConfig config = TinyConfig();
  config.rope_llama3 = model::Llama3RopeScaling{8, 1, 4, 16};
  ExpectReference(config, 40);
  config.rope_llama3.reset();
  config.rope_linear_factor = 2;
  ExpectReference(config, 40);
}

TEST(Block, UsesTheSlidingWindow) {
  model::ModelConfig config = TinyConfig();
  config.sliding_window = 5;
  ExpectReference(config, 40);
}

TEST(Block, LeavesTheInputsOfItsLinearMaps) {
  const model::ModelConfig config = TinyConfig();
  const auto weights = LoadLayer(RandomModel(config), config, 0);
  const MatrixF hidden = RandomMatrix(11, config.hidden_size, 7);
  const Result result = RunOnce(config, *weights, hidden);
  const MatrixD input = ReferenceNorm(Widen(hidden), weights->attention_norm, config.rms_norm_eps);
  EXPECT_LE(RelativeDifference(result.activations.attention_input.view(), input), kTolerance);
  // What the maps made of their inputs is what was added to the hidden states.
  const MatrixD down =
      ReferenceLinear((*weights)[model::Projection::kDown], Widen(result.activations.mlp_down));
  MatrixD sum = ReferenceLinear((*weights)[model::Projection::kO],
                                Widen(result.activations.attention_output));
  AddInto(Widen(hidden), sum);
  EXPECT_LE(RelativeDifference(result.activations.mlp_input.view(),
                               ReferenceNorm(sum, weights->mlp_norm, config.rms_norm_eps)),
            kTolerance);
  AddInto(down, sum);
  EXPECT_LE(RelativeDifference(result.hidden.view(), sum), kTolerance);
}

TEST(Block, NamesItsActivationsByTheirHessian) {
  const model::ModelConfig config = TinyConfig();
  const auto weights = LoadLayer(RandomModel(config), config, 0);
  const Result result = RunOnce(config, *weights, RandomMatrix(4, config.hidden_size, 7));
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const auto kind = static_cast<model::HessianKind>(k);
    EXPECT_EQ(result.activations.Of(kind).columns, model::HessianSize(config, kind));
  }
  EXPECT_EQ(result.activations.Of(model::HessianKind::kMlpDown).data,
            result.activations.mlp_down.data());
}

TEST(Block, ReusesItsActivationsForAnotherLength) {
  const model::ModelConfig config = TinyConfig();
  const auto weights = LoadLayer(RandomModel(config), config, 0);
  const RopeTable rope = MakeRopeTable(config, 8);
  BlockActivations activations;
  MatrixF longer = RandomMatrix(8, config.hidden_size, 1);
  RunBlock({config, *weights, rope}, longer.view(), activations);
  MatrixF shorter = RandomMatrix(3, config.hidden_size, 2);
  RunBlock({config, *weights, rope}, shorter.view(), activations);
  const Result alone = RunOnce(config, *weights, RandomMatrix(3, config.hidden_size, 2));
  EXPECT_TRUE(SameBits(shorter, alone.hidden));
  EXPECT_TRUE(SameBits(activations.mlp_down, alone.activations.mlp_down));
}

}  // namespace
}  // namespace caldera::llama
