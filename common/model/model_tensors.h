// Which tensors a model of a configuration has, by Hugging Face names, and their shapes.
#ifndef CALDERA_COMMON_MODEL_MODEL_TENSORS_H_
#define CALDERA_COMMON_MODEL_MODEL_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/model_config.h"
#include "common/model/tensor_source.h"

namespace caldera::model {

inline constexpr char kEmbeddingName[] = "model.embed_tokens.weight";
inline constexpr char kFinalNormName[] = "model.norm.weight";
inline constexpr char kHeadName[] = "lm_head.weight";

// "model.layers.{layer}.input_layernorm.weight" and "...post_attention_layernorm.weight".
std::string InputNormName(int layer);
std::string PostAttentionNormName(int layer);
// "model.layers.{layer}.{path}.bias".
std::string BiasName(int layer, Projection projection);
// Whether this projection has a bias under the configuration.
bool HasBias(const ModelConfig& config, Projection projection);

// Name and shape ([outputs, inputs] for matrices) of a tensor that must exist.
struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

// The seven matrices of a decoder layer, in the order of Projection.
std::vector<ExpectedTensor> ProjectionTensors(const ModelConfig& config, int layer);
// The other tensors of a decoder layer: both norms, then biases in the order of Projection.
std::vector<ExpectedTensor> OtherLayerTensors(const ModelConfig& config, int layer);
// Tensors outside the layers: embeddings, final norm, and the head when it is not tied.
std::vector<ExpectedTensor> NonLayerTensors(const ModelConfig& config);

// Bytes of norms and biases as a compressed checkpoint keeps them: in the dtype of `source`, GGUF
// block types as BF16. Precondition: `source` has them.
std::uint64_t KeptBytes(const ModelConfig& config, const TensorSource& source);

// OK when `source` has this tensor in this shape with a float or block dtype. NOT_FOUND or
// INVALID_ARGUMENT names source, tensor, found and expected shape.
absl::Status CheckTensor(const TensorSource& source, const ExpectedTensor& expected);

// "[576, 1536]" for messages.
std::string ShapeText(const std::vector<std::int64_t>& shape);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_MODEL_TENSORS_H_
