#include "numerics/llama/perplexity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>

#include "common/base/status.h"
#include "numerics/kernels/parallel.h"
#include "numerics/kernels/transformer.h"
#include "numerics/linalg/blas.h"
#include "numerics/llama/head.h"

namespace caldera::llama {
namespace {

// What scoring keeps per predicted token.
struct TokenScore {
  double log_sum_exp = -std::numeric_limits<double>::infinity();
  double target_logit = 0;
};

// `scores[t]` predicts token t + 1 of the window.
struct ScoredWindow {
  std::span<const std::int32_t> window;
  linalg::ConstViewF hidden;  // after the final norm
  std::vector<TokenScore> scores;
};

double LogAddExp(double a, double b) {
  const double larger = std::max(a, b);
  if (larger == -std::numeric_limits<double>::infinity()) return larger;
  return larger + std::log1p(std::exp(std::min(a, b) - larger));
}

void ScoreRow(const HeadChunk& chunk, std::int32_t target, const float* logits, TokenScore& score) {
  const auto count = static_cast<std::size_t>(chunk.rows.rows());
  score.log_sum_exp = LogAddExp(score.log_sum_exp, kernels::LogSumExp(logits, count));
  const std::int64_t column = target - chunk.first;
  if (column >= 0 && column < chunk.rows.rows()) score.target_logit = logits[column];
}

void ScoreChunk(const HeadChunk& chunk, ScoredWindow& scored) {
  const auto tokens = static_cast<std::int64_t>(scored.scores.size());
  linalg::MatrixF logits(std::min(kTokenBlock, tokens), chunk.rows.rows());
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    const std::int64_t count = std::min(kTokenBlock, tokens - first);
    linalg::Gemm(scored.hidden.Rows(first, count), linalg::Transposed(chunk.rows.view()),
                 logits.view().Rows(0, count));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto t = static_cast<std::size_t>(first + i);
      ScoreRow(chunk, scored.window[t + 1], logits.row(i), scored.scores[t]);
    }
  }
}

// Calls `use` with the head's rows, chunk by chunk; each chunk is read once.
absl::Status ForEachHeadChunk(const model::TensorSource& source, const model::ModelConfig& config,
                              const std::function<void(const HeadChunk&)>& use) {
  for (std::int64_t first = 0; first < config.vocab_size; first += kVocabularyChunk) {
    CALDERA_ASSIGN_OR_RETURN(const HeadChunk chunk, LoadHeadChunk(source, config, first));
    use(chunk);
  }
  return absl::OkStatus();
}

std::vector<double> LogProbabilities(const ScoredWindow& scored) {
  std::vector<double> values;
  for (const TokenScore& score : scored.scores) {
    values.push_back(score.target_logit - score.log_sum_exp);
  }
  return values;
}

absl::StatusOr<std::vector<std::vector<double>>> ScoreWindows(const model::TensorSource& source,
                                                              const model::ModelConfig& config,
                                                              std::span<const Window> windows,
                                                              const StepDone& done) {
  CALDERA_ASSIGN_OR_RETURN(const ActivationSet hidden, FinalHidden(source, config, windows, done));
  std::vector<ScoredWindow> scored(windows.size());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    scored[i] = {windows[i], hidden.windows[i].view(),
                 std::vector<TokenScore>(windows[i].size() - 1)};
  }
  CALDERA_RETURN_IF_ERROR(ForEachHeadChunk(source, config, [&](const HeadChunk& chunk) {
    kernels::ParallelFor(static_cast<std::int64_t>(scored.size()), [&](std::int64_t i) {
      ScoreChunk(chunk, scored[static_cast<std::size_t>(i)]);
    });
  }));
  std::vector<std::vector<double>> values;
  for (const ScoredWindow& window : scored) values.push_back(LogProbabilities(window));
  return values;
}

// The loss of each window, summed over its tokens in order.
void AddLosses(const std::vector<std::vector<double>>& log_probabilities,
               std::vector<ClusterSum>& losses) {
  for (const std::vector<double>& window : log_probabilities) {
    ClusterSum loss{0, static_cast<std::int64_t>(window.size())};
    for (const double value : window) loss.sum -= value;
    losses.push_back(loss);
  }
}

}  // namespace

absl::StatusOr<Perplexity> PerplexityOf(std::span<const ClusterSum> losses) {
  Perplexity result;
  for (const ClusterSum& loss : losses) {
    result.tokens += loss.count;
    if (loss.count > 0) ++result.windows;
  }
  if (result.tokens == 0) return base::InvalidArgument("no window has a token to score");
  const MeanEstimate nll = MeanOfClusters(losses);
  result.nll = nll.mean;
  result.perplexity = std::exp(nll.mean);
  if (nll.standard_error) {
    result.nll_standard_error = nll.standard_error;
    result.perplexity_standard_error = result.perplexity * *nll.standard_error;
  }
  return result;
}

absl::StatusOr<Perplexity> EvaluatePerplexity(const model::TensorSource& source,
                                              const model::ModelConfig& config,
                                              std::span<const Window> windows,
                                              const PerplexityOptions& options) {
  const auto token_bytes = config.hidden_size * static_cast<std::int64_t>(sizeof(float));
  const auto passes = Passes(windows, options.activation_bytes / token_bytes);
  const std::int64_t steps = static_cast<std::int64_t>(passes.size()) * config.num_hidden_layers;
  std::int64_t done = 0;
  const StepDone step = [&] {
    ++done;
    if (options.progress) options.progress(done, steps);
  };
  std::vector<ClusterSum> losses;
  for (const std::span<const Window> pass : passes) {
    CALDERA_ASSIGN_OR_RETURN(const auto scores, ScoreWindows(source, config, pass, step));
    AddLosses(scores, losses);
  }
  return PerplexityOf(losses);
}

absl::StatusOr<std::vector<std::vector<double>>> TokenLogProbabilities(
    const model::TensorSource& source, const model::ModelConfig& config,
    std::span<const Window> windows) {
  return ScoreWindows(source, config, windows, [] {});
}

absl::StatusOr<linalg::MatrixF> Logits(const model::TensorSource& source,
                                       const model::ModelConfig& config, const Window& window) {
  CALDERA_ASSIGN_OR_RETURN(const ActivationSet hidden,
                           FinalHidden(source, config, {&window, 1}, [] {}));
  const linalg::MatrixF& states = hidden.windows.front();
  linalg::MatrixF logits(states.rows(), config.vocab_size);
  CALDERA_RETURN_IF_ERROR(ForEachHeadChunk(source, config, [&](const HeadChunk& chunk) {
    linalg::Gemm(states, linalg::Transposed(chunk.rows.view()),
                 logits.view().Columns(chunk.first, chunk.rows.rows()));
  }));
  return logits;
}

}  // namespace caldera::llama
