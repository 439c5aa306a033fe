#include "numerics/llama/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/numerics/llama/reference_block.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using linalg::MatrixF;

// Scores are sums of head_dim products of size about 1, and a softmax weight moves by as much as
// its score: eps * head_dim * |score| with |score| <= 20 here.
constexpr double kTolerance = 0x1p-24 * 6 * 20;

struct Tensors {
  MatrixF q, k, v;
};

Tensors RandomTensors(const model::ModelConfig& config, std::int64_t positions) {
  return {RandomMatrix(positions, config.num_attention_heads * config.head_dim, 1),
          RandomMatrix(positions, config.num_key_value_heads * config.head_dim, 2),
          RandomMatrix(positions, config.num_key_value_heads * config.head_dim, 3)};
}

MatrixF Attend(const model::ModelConfig& config, const Tensors& t) {
  MatrixF out(t.q.rows(), t.q.columns());
  CausalAttention(AttentionShapeOf(config), {t.q.view(), t.k.view(), t.v.view()}, out.view());
  return out;
}

void ExpectReference(const model::ModelConfig& config, std::int64_t positions) {
  const Tensors t = RandomTensors(config, positions);
  const MatrixD expected = ReferenceAttention(config, {Widen(t.q), Widen(t.k), Widen(t.v)});
  EXPECT_LE(RelativeDifference(Attend(config, t).view(), expected), kTolerance) << positions;
}

TEST(Attention, MatchesTheFormulaAroundTheBlockSize) {
  for (const std::int64_t positions : {1, 2, 127, 128, 129, 300}) {
    ExpectReference(TinyConfig(), positions);
  }
}

TEST(Attention, GroupsQueryHeadsOnKeyValueHeads) {
  model::ModelConfig config = TinyConfig();
  config.num_attention_heads = 6;
  for (const std::int64_t shared : {1, 2, 3, 6}) {
    config.num_key_value_heads = shared;
    ExpectReference(config, 40);
  }
}

TEST(Attention, LooksBackNoFurtherThanTheSlidingWindow) {
  model::ModelConfig config = TinyConfig();
  for (const std::int64_t window : {1, 2, 100, 128, 250, 299, 300, 1000}) {
    config.sliding_window = window;
    ExpectReference(config, 300);
  }
}

TEST(Attention, OfAWindowOfOneIsTheValueItself) {
  model::ModelConfig config = TinyConfig();
  config.sliding_window = 1;
  const Tensors t = RandomTensors(config, 150);
  const MatrixF out = Attend(config, t);
  for (std::int64_t p = 0; p < 150; ++p) {
    for (std::int64_t d = 0; d < 18; ++d) EXPECT_EQ(out(p, d), t.v(p, d % 6));
  }
}

TEST(Attention, OfEqualKeysIsTheRunningMeanOfTheValues) {
  const model::ModelConfig config = TinyConfig();
  Tensors t = RandomTensors(config, 10);
  for (std::int64_t i = 0; i < 10 * 6; ++i) t.k.data()[i] = 0.5F;
  const MatrixF out = Attend(config, t);
  double sum = 0;
  for (std::int64_t p = 0; p < 10; ++p) {
    sum += static_cast<double>(t.v(p, 2));
    EXPECT_NEAR(out(p, 2), sum / static_cast<double>(p + 1), 10 * 4 * 0x1p-24);
  }
}

TEST(Attention, OfNoPositionsDoesNothing) {
  EXPECT_TRUE(Attend(TinyConfig(), RandomTensors(TinyConfig(), 0)).empty());
}

}  // namespace
}  // namespace caldera::llama
