#include "numerics/llama/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "numerics/kernels/parallel.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

// Larger than one chunk of the vocabulary and no multiple of it.
model::ModelConfig WideConfig() {
  model::ModelConfig config = TinyConfig();
  config.vocab_size = 4500;
  return config;
}

// The random model with every matrix of the layers and the head moved a little.
MemoryTensors Perturbed(const model::ModelConfig& config, double spread) {
  MemoryTensors tensors = RandomModel(config);
  unsigned seed = 1000;
  for (const model::TensorInfo& info : tensors.tensors()) {
    if (info.shape.size() != 2 || info.name == "model.embed_tokens.weight") continue;
    std::vector<float>& values = tensors.Values(info.name);
    const std::vector<float> noise = RandomValues(values.size(), spread, ++seed);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += noise[i];
  }
  return tensors;
}

std::vector<Window> SomeWindows(std::int64_t vocabulary) {
  std::vector<Window> windows;
  for (const std::size_t size : {40U, 7U, 1U, 23U, 40U}) {
    windows.push_back(RandomIds(size, vocabulary, static_cast<unsigned>(windows.size())));
  }
  return windows;
}

// What one window contributes, from all its logits.
struct Expected {
  double tokens = 0;
  double kl = 0;
  double gap = 0;
  double agreements = 0;
  std::vector<double> token_kls;
};

std::vector<double> LogSoftmax(const float* logits, std::int64_t count) {
  double sum = 0;
  for (std::int64_t v = 0; v < count; ++v) sum += std::exp(static_cast<double>(logits[v]));
  std::vector<double> values;
  for (std::int64_t v = 0; v < count; ++v) values.push_back(logits[v] - std::log(sum));
  return values;
}

Expected ExpectedOf(const linalg::MatrixF& reference, const linalg::MatrixF& model,
                    const Window& window) {
  Expected expected;
  for (std::int64_t t = 0; t + 1 < reference.rows(); ++t) {
    const std::vector<double> log_p = LogSoftmax(reference.row(t), reference.columns());
    const std::vector<double> log_q = LogSoftmax(model.row(t), model.columns());
    double kl = 0;
    for (std::size_t v = 0; v < log_p.size(); ++v) kl += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
    const auto target = static_cast<std::size_t>(window[static_cast<std::size_t>(t) + 1]);
    expected.tokens += 1;
    expected.kl += kl;
    expected.gap += log_p[target] - log_q[target];
    expected.agreements += std::max_element(log_p.begin(), log_p.end()) - log_p.begin() ==
                           std::max_element(log_q.begin(), log_q.end()) - log_q.begin();
    expected.token_kls.push_back(kl);
  }
  return expected;
}

class Comparing : public testing::Test {
 protected:
  const model::ModelConfig config_ = WideConfig();
  const MemoryTensors reference_ = RandomModel(config_);
  const MemoryTensors model_ = Perturbed(config_, 0.05);
  const std::vector<Window> windows_ = SomeWindows(4500);

  absl::StatusOr<Comparison> Compare(const PerplexityOptions& options = {}) const {
    return CompareModels({reference_, config_}, {model_, config_}, windows_, options);
  }
};

TEST_F(Comparing, AModelWithItselfFindsNoDifference) {
  const auto result = CompareModels({reference_, config_}, {reference_, config_}, windows_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->kl.mean, 0);
  EXPECT_EQ(result->kl.standard_error, 0);
  EXPECT_EQ(result->kl_p99, 0);
  EXPECT_EQ(result->top1_agreement, 1);
  EXPECT_EQ(result->nll_difference.mean, 0);
  EXPECT_EQ(result->nll_difference.standard_error, 0);
  EXPECT_EQ(result->model.nll, result->reference.nll);
}

TEST_F(Comparing, GivesTheMeansAndErrorsOfAllLogits) {
  std::vector<ClusterSum> kls;
  std::vector<ClusterSum> gaps;
  std::vector<double> token_kls;
  double agreements = 0;
  for (const Window& window : windows_) {
    const auto reference = Logits(reference_, config_, window);
    const auto model = Logits(model_, config_, window);
    ASSERT_TRUE(reference.ok() && model.ok());
    const Expected expected = ExpectedOf(*reference, *model, window);
    kls.push_back({expected.kl, static_cast<std::int64_t>(expected.tokens)});
    gaps.push_back({expected.gap, static_cast<std::int64_t>(expected.tokens)});
    agreements += expected.agreements;
    token_kls.insert(token_kls.end(), expected.token_kls.begin(), expected.token_kls.end());
  }
  std::sort(token_kls.begin(), token_kls.end());
  const auto result = Compare();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->model.tokens, 106);
  ASSERT_GT(MeanOfClusters(kls).mean, 1e-4);
  // The same logits but for the order of 20 float32 products.
  constexpr double kTolerance = 1e-5;
  EXPECT_NEAR(result->kl.mean, MeanOfClusters(kls).mean, kTolerance * result->kl.mean);
  EXPECT_NEAR(*result->kl.standard_error, *MeanOfClusters(kls).standard_error,
              kTolerance * result->kl.mean);
  EXPECT_NEAR(result->kl_p99, token_kls[104], kTolerance * result->kl_p99);
  EXPECT_NEAR(result->nll_difference.mean, MeanOfClusters(gaps).mean, kTolerance);
  EXPECT_NEAR(*result->nll_difference.standard_error, *MeanOfClusters(gaps).standard_error,
              kTolerance);
  EXPECT_DOUBLE_EQ(result->top1_agreement, agreements / 106);
  EXPECT_LT(result->top1_agreement, 1);
  EXPECT_GT(result->top1_agreement, 0);
}

TEST_F(Comparing, GivesThePerplexitiesOfBothModels) {
  const auto result = Compare();
  const auto reference = EvaluatePerplexity(reference_, config_, windows_);
  const auto model = EvaluatePerplexity(model_, config_, windows_);
  ASSERT_TRUE(result.ok() && reference.ok() && model.ok());
  EXPECT_NEAR(result->reference.nll, reference->nll, 1e-6);
  EXPECT_NEAR(result->model.nll, model->nll, 1e-6);
  EXPECT_NEAR(*result->model.nll_standard_error, *model->nll_standard_error, 1e-6);
  EXPECT_NEAR(result->nll_difference.mean, model->nll - reference->nll, 1e-6);
  EXPECT_EQ(result->model.windows, 4);
}

TEST_F(Comparing, GivesTheSameBitsForAnyMemoryLimitAndNumberOfThreads) {
  kernels::SetThreads(1);
  const auto all = Compare();
  for (const int threads : {1, 2}) {
    kernels::SetThreads(threads);
    for (const std::int64_t bytes : {1, 10000, 1000000}) {
      const auto split = Compare({bytes, {}});
      ASSERT_TRUE(split.ok());
      EXPECT_EQ(split->kl.mean, all->kl.mean) << bytes;
      EXPECT_EQ(split->kl.standard_error, all->kl.standard_error) << bytes;
      EXPECT_EQ(split->nll_difference.mean, all->nll_difference.mean) << bytes;
      EXPECT_EQ(split->top1_agreement, all->top1_agreement) << bytes;
    }
  }
}

TEST_F(Comparing, ModelsOfDifferentShapesNeedOnlyTheSameVocabulary) {
  model::ModelConfig other = config_;
  other.hidden_size = 12;
  other.num_hidden_layers = 1;
  std::int64_t last = 0;
  PerplexityOptions options;
  options.progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 3);
    EXPECT_EQ(done, ++last);
  };
  const MemoryTensors tensors = RandomModel(other, 9);
  const auto result = CompareModels({reference_, config_}, {tensors, other}, windows_, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->kl.mean, 0.1);
  EXPECT_EQ(last, 3);
}

TEST_F(Comparing, RefusesAnotherVocabulary) {
  model::ModelConfig other = config_;
  other.vocab_size = 4501;
  const MemoryTensors tensors = RandomModel(other);
  const auto result = CompareModels({reference_, config_}, {tensors, other}, windows_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(result.status()).find("4501"), std::string::npos);
  EXPECT_NE(base::MessageOf(result.status()).find("4500"), std::string::npos);
}

TEST_F(Comparing, RefusesATextWithoutATokenToScore) {
  for (const std::vector<Window>& windows : {std::vector<Window>{}, {{1}, {2}}}) {
    const auto result = CompareModels({reference_, config_}, {model_, config_}, windows);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(Comparing, OneWindowHasNoStandardErrors) {
  const auto result =
      CompareModels({reference_, config_}, {model_, config_}, std::span(windows_).first(1));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->kl.mean, 0);
  EXPECT_FALSE(result->kl.standard_error.has_value());
  EXPECT_FALSE(result->nll_difference.standard_error.has_value());
  EXPECT_FALSE(result->model.perplexity_standard_error.has_value());
}

TEST_F(Comparing, NamesTheTokenWhoseLogitsAreNotFinite) {
  MemoryTensors tensors = RandomModel(config_);
  for (float& value : tensors.Values("lm_head.weight")) value = 3e38F;
  const auto result = CompareModels({reference_, config_}, {tensors, config_}, windows_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(result.status()).find("window 0, token"), std::string::npos);
}

}  // namespace
}  // namespace caldera::llama
