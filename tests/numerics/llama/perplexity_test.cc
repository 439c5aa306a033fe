#include "numerics/llama/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "numerics/kernels/parallel.h"
#include "tests/numerics/llama/reference_block.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using Ids = std::vector<std::int32_t>;

// Larger than one chunk of the vocabulary and no multiple of it.
model::ModelConfig WideConfig() {
  model::ModelConfig config = TinyConfig();
  config.vocab_size = 4500;
  return config;
}

std::vector<Ids> SomeIds(std::size_t count, std::int64_t vocabulary) {
  std::vector<Ids> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(RandomIds(2 + 13 * i % 30, vocabulary, static_cast<unsigned>(i)));
  }
  return ids;
}

std::vector<Window> Views(const std::vector<Ids>& ids) { return ids; }

TEST(Perplexity, OfAHeadOfZerosIsTheSizeOfTheVocabulary) {
  const model::ModelConfig config = WideConfig();
  MemoryTensors tensors = RandomModel(config);
  for (float& value : tensors.Values("lm_head.weight")) value = 0;
  const std::vector<Ids> ids = SomeIds(3, config.vocab_size);
  const auto result = EvaluatePerplexity(tensors, config, Views(ids));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->perplexity, 4500.0, 4500.0 * 1e-6);
  EXPECT_NEAR(result->nll, std::log(4500.0), 1e-6);
}

TEST(Perplexity, ScoresAllButTheFirstTokenOfEachWindow) {
  const model::ModelConfig config = TinyConfig();
  const std::vector<Ids> ids = {RandomIds(5, 50, 1), RandomIds(1, 50, 2), RandomIds(9, 50, 3)};
  const auto result = EvaluatePerplexity(RandomModel(config), config, Views(ids));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tokens, 4 + 0 + 8);
}

TEST(Perplexity, IsTheMeanOfTheLogProbabilities) {
  const model::ModelConfig config = WideConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Ids> ids = SomeIds(4, config.vocab_size);
  const auto scores = TokenLogProbabilities(tensors, config, Views(ids));
  const auto result = EvaluatePerplexity(tensors, config, Views(ids));
  ASSERT_TRUE(scores.ok() && result.ok());
  double sum = 0;
  double count = 0;
  for (const auto& window : *scores) {
    for (const double value : window) sum -= value;
    count += static_cast<double>(window.size());
  }
  // Two orders of adding `count` values.
  EXPECT_NEAR(result->nll, sum / count, count * 0x1p-53 * result->nll);
  EXPECT_DOUBLE_EQ(result->perplexity, std::exp(result->nll));
}

TEST(Perplexity, LogProbabilitiesAreTheLogSoftmaxOfTheLogits) {
  const model::ModelConfig config = WideConfig();
  const MemoryTensors tensors = RandomModel(config);
  const Ids ids = RandomIds(300, config.vocab_size, 5);
  const auto logits = Logits(tensors, config, ids);
  const auto scores = TokenLogProbabilities(tensors, config, Views({ids}));
  ASSERT_TRUE(logits.ok() && scores.ok());
  ASSERT_EQ((*scores)[0].size(), 299U);
  for (std::int64_t t = 0; t + 1 < 300; ++t) {
    double sum = 0;
    for (std::int64_t v = 0; v < config.vocab_size; ++v) {
      sum += std::exp(static_cast<double>((*logits)(t, v)));
    }
    const auto at = static_cast<std::size_t>(t);
    const double expected = static_cast<double>((*logits)(t, ids[at + 1])) - std::log(sum);
    // Kernel exp (1e-7 relative) and the logits' own rounding (20 terms).
    EXPECT_NEAR((*scores)[0][at], expected, 2e-6 + 20 * 0x1p-24 * std::fabs(expected));
  }
}

TEST(Perplexity, LogitsMatchTheReference) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const Ids ids = RandomIds(33, 50, 5);
  MatrixD hidden = Widen(*EmbedTokens(tensors, config, ids));
  for (int layer = 0; layer < 2; ++layer) {
    hidden = ReferenceBlock(config, *LoadLayer(tensors, config, layer), hidden);
  }
  const MatrixD normed =
      ReferenceNorm(hidden, *LoadFinalNorm(tensors, config), config.rms_norm_eps);
  const MatrixD expected = ReferenceLinear({*LoadHeadRows(tensors, config, 0, 50), {}}, normed);
  const auto logits = Logits(tensors, config, ids);
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_LE(RelativeDifference(logits->view(), expected), 4 * 0x1p-24 * 10 * 28);
}

TEST(Perplexity, OfLossesHasTheStandardErrorOfTheHandComputedExample) {
  // Mean 1.1; residuals 1 - 2.2 = -1.2 and 4.5 - 3.3 = 1.2: error sqrt(2 * 2.88) / 5 = 0.48.
  const std::vector<ClusterSum> losses = {{1, 2}, {4.5, 3}, {0, 0}};
  const auto result = PerplexityOf(losses);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tokens, 5);
  EXPECT_EQ(result->windows, 2);
  EXPECT_NEAR(result->nll, 1.1, 1e-15);
  EXPECT_NEAR(result->nll_standard_error.value(), 0.48, 1e-15);
  EXPECT_NEAR(result->perplexity_standard_error.value(), 0.48 * std::exp(1.1), 1e-14);
}

TEST(Perplexity, TakesEachWindowAsOneDraw) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Ids> ids = SomeIds(4, config.vocab_size);
  const auto scores = TokenLogProbabilities(tensors, config, Views(ids));
  ASSERT_TRUE(scores.ok());
  std::vector<ClusterSum> losses;
  for (const auto& window : *scores) {
    losses.push_back({0, static_cast<std::int64_t>(window.size())});
    for (const double value : window) losses.back().sum -= value;
  }
  const auto result = EvaluatePerplexity(tensors, config, Views(ids));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->nll_standard_error, MeanOfClusters(losses).standard_error);
  EXPECT_GT(result->nll_standard_error.value(), 0);
}

TEST(Perplexity, OfOneWindowHasNoStandardError) {
  const model::ModelConfig config = TinyConfig();
  const auto result = EvaluatePerplexity(RandomModel(config), config, Views({RandomIds(9, 50, 3)}));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->nll_standard_error.has_value());
  EXPECT_FALSE(result->perplexity_standard_error.has_value());
}

TEST(Perplexity, GivesTheSameBitsForAnyMemoryLimitAndNumberOfThreads) {
  const model::ModelConfig config = WideConfig();
  const MemoryTensors tensors = RandomModel(config);
  const std::vector<Ids> ids = SomeIds(8, config.vocab_size);
  kernels::SetThreads(1);
  const auto all = EvaluatePerplexity(tensors, config, Views(ids));
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    for (const std::int64_t bytes : {1, 5000, 100000}) {
      const auto split = EvaluatePerplexity(tensors, config, Views(ids), {bytes, {}});
      ASSERT_TRUE(split.ok());
      EXPECT_EQ(split->nll, all->nll) << bytes;
    }
  }
}

TEST(Perplexity, ReportsProgressAfterEveryLayerOfEveryPass) {
  const model::ModelConfig config = TinyConfig();
  const std::vector<Ids> ids = SomeIds(3, 50);
  std::vector<std::int64_t> seen;
  PerplexityOptions options;
  options.activation_bytes = 1;  // one window per pass
  options.progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 6);
    seen.push_back(done);
  };
  ASSERT_TRUE(EvaluatePerplexity(RandomModel(config), config, Views(ids), options).ok());
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST(Perplexity, RejectsATextWithoutATokenToScore) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  for (const std::vector<Ids>& ids : {std::vector<Ids>{}, std::vector<Ids>{{1}, {2}}}) {
    const auto result = EvaluatePerplexity(tensors, config, Views(ids));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace caldera::llama
