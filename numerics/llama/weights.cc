#include "numerics/llama/weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/status.h"
#include "common/model/model_tensors.h"
#include "numerics/kernels/transformer.h"

namespace caldera::llama {
namespace {

using model::Projection;

absl::Status CheckFinite(const std::string& what, std::int64_t first_row, linalg::ConstViewF view) {
  for (std::int64_t i = 0; i < view.rows; ++i) {
    const float* row = view.row(i);
    if (kernels::IsFinite(row, static_cast<std::size_t>(view.columns))) continue;
    const float* bad =
        std::find_if_not(row, row + view.columns, [](float value) { return std::isfinite(value); });
    return base::InvalidArgument("{}, row {}, column {}: {} is not finite", what, first_row + i,
                                 bad - row, *bad);
  }
  return absl::OkStatus();
}

// Rows [first_row, first_row + out.rows) of a tensor whose shape the caller has checked.
absl::Status ReadFinite(const model::TensorSource& source, const std::string& tensor,
                        std::int64_t first_row, linalg::ViewF out) {
  const auto values = static_cast<std::size_t>(out.rows * out.columns);
  CALDERA_RETURN_IF_ERROR(source.ReadRows(tensor, first_row, out.rows, {out.data, values}));
  return CheckFinite(source.name() + ": tensor " + tensor, first_row, out);
}

absl::Status ReadMatrix(const model::TensorSource& source, const std::string& tensor,
                        linalg::ViewF out) {
  CALDERA_RETURN_IF_ERROR(model::CheckTensor(source, {tensor, {out.rows, out.columns}}));
  return ReadFinite(source, tensor, 0, out);
}

absl::Status ReadVector(const model::TensorSource& source, const std::string& tensor,
                        std::vector<float>& out) {
  const auto size = static_cast<std::int64_t>(out.size());
  CALDERA_RETURN_IF_ERROR(model::CheckTensor(source, {tensor, {size}}));
  return ReadFinite(source, tensor, 0, {out.data(), size, 1, 1});
}

}  // namespace

LayerWeights MakeLayer(const model::ModelConfig& config) {
  LayerWeights layer;
  layer.attention_norm.resize(static_cast<std::size_t>(config.hidden_size));
  layer.mlp_norm.resize(static_cast<std::size_t>(config.hidden_size));
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    const model::MatrixShape shape = model::ShapeOf(config, projection);
    layer[projection].weight = linalg::MatrixF(shape.rows, shape.columns);
    if (model::HasBias(config, projection)) {
      layer[projection].bias.resize(static_cast<std::size_t>(shape.rows));
    }
  }
  return layer;
}

absl::StatusOr<LayerWeights> LoadLayer(const model::TensorSource& source,
                                       const model::ModelConfig& config, int layer) {
  LayerWeights weights = MakeLayer(config);
  CALDERA_RETURN_IF_ERROR(ReadVector(source, model::InputNormName(layer), weights.attention_norm));
  CALDERA_RETURN_IF_ERROR(
      ReadVector(source, model::PostAttentionNormName(layer), weights.mlp_norm));
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    Linear& linear = weights[projection];
    CALDERA_RETURN_IF_ERROR(
        ReadMatrix(source, model::WeightName(layer, projection), linear.weight.view()));
    if (linear.bias.empty()) continue;
    CALDERA_RETURN_IF_ERROR(ReadVector(source, model::BiasName(layer, projection), linear.bias));
  }
  return weights;
}

absl::StatusOr<linalg::MatrixF> EmbedTokens(const model::TensorSource& source,
                                            const model::ModelConfig& config,
                                            std::span<const std::int32_t> tokens) {
  CALDERA_RETURN_IF_ERROR(
      model::CheckTensor(source, {model::kEmbeddingName, {config.vocab_size, config.hidden_size}}));
  linalg::MatrixF out(static_cast<std::int64_t>(tokens.size()), config.hidden_size);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= config.vocab_size) {
      return base::InvalidArgument("token {} at position {} is outside the vocabulary of {}",
                                   tokens[i], i, config.vocab_size);
    }
    CALDERA_RETURN_IF_ERROR(ReadFinite(source, model::kEmbeddingName, tokens[i],
                                       out.view().Rows(static_cast<std::int64_t>(i), 1)));
  }
  return out;
}

absl::StatusOr<std::vector<float>> LoadFinalNorm(const model::TensorSource& source,
                                                 const model::ModelConfig& config) {
  std::vector<float> norm(static_cast<std::size_t>(config.hidden_size));
  CALDERA_RETURN_IF_ERROR(ReadVector(source, model::kFinalNormName, norm));
  return norm;
}

std::string HeadTensor(const model::ModelConfig& config) {
  return config.tie_word_embeddings ? model::kEmbeddingName : model::kHeadName;
}

absl::StatusOr<linalg::MatrixF> LoadHeadRows(const model::TensorSource& source,
                                             const model::ModelConfig& config, std::int64_t first,
                                             std::int64_t count) {
  const std::string tensor = HeadTensor(config);
  CALDERA_RETURN_IF_ERROR(
      model::CheckTensor(source, {tensor, {config.vocab_size, config.hidden_size}}));
  linalg::MatrixF rows(count, config.hidden_size);
  CALDERA_RETURN_IF_ERROR(ReadFinite(source, tensor, first, rows.view()));
  return rows;
}

}  // namespace caldera::llama
