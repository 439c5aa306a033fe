#include "common/model/model_tensors.h"

#include <fmt/format.h>

#include "common/base/status.h"

namespace caldera::model {
namespace {

std::string LayerName(int layer, const std::string& rest) {
  return fmt::format("model.layers.{}.{}", layer, rest);
}

constexpr Projection ProjectionAt(int index) { return static_cast<Projection>(index); }

}  // namespace

std::string InputNormName(int layer) { return LayerName(layer, "input_layernorm.weight"); }

std::string PostAttentionNormName(int layer) {
  return LayerName(layer, "post_attention_layernorm.weight");
}

std::string BiasName(int layer, Projection projection) {
  return LayerName(layer, ProjectionPath(projection) + ".bias");
}

bool HasBias(const ModelConfig& config, Projection projection) {
  switch (projection) {
    case Projection::kQ:
    case Projection::kK:
    case Projection::kV:
      return config.attention_bias;
    case Projection::kO:
      return config.attention_output_bias;
    default:
      return config.mlp_bias;
  }
}

std::vector<ExpectedTensor> ProjectionTensors(const ModelConfig& config, int layer) {
  std::vector<ExpectedTensor> tensors;
  for (int i = 0; i < kProjectionCount; ++i) {
    const MatrixShape shape = ShapeOf(config, ProjectionAt(i));
    tensors.push_back({WeightName(layer, ProjectionAt(i)), {shape.rows, shape.columns}});
  }
  return tensors;
}

std::vector<ExpectedTensor> OtherLayerTensors(const ModelConfig& config, int layer) {
  std::vector<ExpectedTensor> tensors = {{InputNormName(layer), {config.hidden_size}},
                                         {PostAttentionNormName(layer), {config.hidden_size}}};
  for (int i = 0; i < kProjectionCount; ++i) {
    if (!HasBias(config, ProjectionAt(i))) continue;
    tensors.push_back({BiasName(layer, ProjectionAt(i)), {ShapeOf(config, ProjectionAt(i)).rows}});
  }
  return tensors;
}

std::vector<ExpectedTensor> NonLayerTensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> tensors = {{kEmbeddingName, {config.vocab_size, config.hidden_size}},
                                         {kFinalNormName, {config.hidden_size}}};
  if (!config.tie_word_embeddings) {
    tensors.push_back({kHeadName, {config.vocab_size, config.hidden_size}});
  }
  return tensors;
}

std::uint64_t KeptBytes(const ModelConfig& config, const TensorSource& source) {
  std::vector<ExpectedTensor> kept = {{kFinalNormName, {config.hidden_size}}};
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto others = OtherLayerTensors(config, layer);
    kept.insert(kept.end(), others.begin(), others.end());
  }
  std::int64_t bytes = 0;
  for (const ExpectedTensor& tensor : kept) {
    const Dtype dtype = source.Find(tensor.name)->dtype;
    bytes += tensor.shape.front() * BlockBytes(IsBlockType(dtype) ? Dtype::kBF16 : dtype);
  }
  return static_cast<std::uint64_t>(bytes);
}

absl::Status CheckTensor(const TensorSource& source, const ExpectedTensor& expected) {
  const TensorInfo* found = source.Find(expected.name);
  if (found == nullptr) {
    return base::NotFound("{}: tensor {} is missing, expected shape {}", source.name(),
                          expected.name, ShapeText(expected.shape));
  }
  if (found->shape != expected.shape) {
    return base::InvalidArgument("{}: tensor {} has shape {}, expected {}", source.name(),
                                 expected.name, ShapeText(found->shape), ShapeText(expected.shape));
  }
  if (HasFloatValue(found->dtype)) return absl::OkStatus();
  return base::InvalidArgument("{}: tensor {} has dtype {}, expected a float type", source.name(),
                               expected.name, DtypeName(found->dtype));
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace caldera::model
