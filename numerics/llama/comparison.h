// A model beside the one it was made from: how far its next-token distributions are from the
// original's over the same windows.
#ifndef CALDERA_NUMERICS_LLAMA_COMPARISON_H_
#define CALDERA_NUMERICS_LLAMA_COMPARISON_H_

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/llama/model.h"
#include "numerics/llama/perplexity.h"
#include "numerics/llama/statistics.h"

namespace caldera::llama {

// Borrowed: both outlive the call.
struct ModelView {
  const model::TensorSource& tensors;
  const model::ModelConfig& config;
};

// INVALID_ARGUMENT naming both models when their vocabularies differ in size.
absl::Status CheckSameVocabulary(const ModelView& reference, const ModelView& model);

// Means over the scored tokens, in nats; standard errors with each window as one draw.
struct Comparison {
  Perplexity reference;
  Perplexity model;
  MeanEstimate kl;    // KL(p_reference || p_model)
  double kl_p99 = 0;  // over tokens, nearest rank
  // -log p_model - (-log p_reference) of the token that follows: paired, so what makes a window
  // hard for both models cancels from the standard error.
  MeanEstimate nll_difference;
  double top1_agreement = 0;  // share of tokens for which both find the same id most likely
};

// Logits are float32 products; log-softmax and everything after it float64 in a fixed order, so
// results do not depend on threads or memory limits (`reference` and `model` agree with
// EvaluatePerplexity up to its float32 exponentials, about 1e-7 nats).
//
// Memory: as EvaluatePerplexity, with the hidden states of both models in
// options.activation_bytes together, one layer of one model at a time, two blocks of kTokenBlock x
// kVocabularyChunk logits per thread, about 100 bytes per token of a pass and 8 per token of the
// text.
//
// Errors of CheckSameVocabulary; INVALID_ARGUMENT when no token would be scored or logits are not
// finite (naming window and token); else errors of Embed and LoadLayer.
absl::StatusOr<Comparison> CompareModels(const ModelView& reference, const ModelView& model,
                                         std::span<const Window> windows,
                                         const PerplexityOptions& options = {});

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_COMPARISON_H_
