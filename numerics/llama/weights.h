// Weights of a Llama-family model in float32, never more than one layer at a time.
//
// Everything is read through model::TensorSource under its Hugging Face name, so original and
// compressed checkpoints are the same to the forward pass. Errors name source and tensor: NOT_FOUND
// for a missing tensor, INVALID_ARGUMENT for a wrong shape or a NaN or infinity (with row and
// column).
#ifndef CALDERA_NUMERICS_LLAMA_WEIGHTS_H_
#define CALDERA_NUMERICS_LLAMA_WEIGHTS_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"
#include "numerics/linalg/matrix.h"

namespace caldera::llama {

// y = x W^T + b: `weight` m outputs x n inputs, `bias` m values or empty.
struct Linear {
  linalg::MatrixF weight;
  std::vector<float> bias;
};

// One decoder layer. Norm weights have hidden_size values.
struct LayerWeights {
  std::vector<float> attention_norm;  // input_layernorm
  std::vector<float> mlp_norm;        // post_attention_layernorm
  std::array<Linear, model::kProjectionCount> projections;

  const Linear& operator[](model::Projection projection) const {
    return projections[static_cast<std::size_t>(projection)];
  }
  Linear& operator[](model::Projection projection) {
    return projections[static_cast<std::size_t>(projection)];
  }
};

// Zero weights of the right shapes (biases where `config` has them).
LayerWeights MakeLayer(const model::ModelConfig& config);

// Reads layer `layer` (0-based). Memory: the layer in float32, nothing else.
absl::StatusOr<LayerWeights> LoadLayer(const model::TensorSource& source,
                                       const model::ModelConfig& config, int layer);

// Rows `tokens` of the embedding, tokens x hidden_size. INVALID_ARGUMENT names a token outside the
// vocabulary.
absl::StatusOr<linalg::MatrixF> EmbedTokens(const model::TensorSource& source,
                                            const model::ModelConfig& config,
                                            std::span<const std::int32_t> tokens);

// model.norm.weight, hidden_size values.
absl::StatusOr<std::vector<float>> LoadFinalNorm(const model::TensorSource& source,
                                                 const model::ModelConfig& config);

// Tensor whose rows are the output head: "lm_head.weight", or the embedding when tied.
std::string HeadTensor(const model::ModelConfig& config);

// Rows [first, first + count) of the head, count x hidden_size.
absl::StatusOr<linalg::MatrixF> LoadHeadRows(const model::TensorSource& source,
                                             const model::ModelConfig& config, std::int64_t first,
                                             std::int64_t count);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_WEIGHTS_H_
