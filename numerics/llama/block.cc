#include "numerics/llama/block.h"

#include <cstddef>
#include <vector>

#include "numerics/kernels/transformer.h"
#include "numerics/linalg/blas.h"
#include "numerics/llama/attention.h"

namespace caldera::llama {
namespace {

using linalg::ConstViewF;
using linalg::MatrixF;
using linalg::ViewF;
using model::Projection;

void Reshape(MatrixF& matrix, std::int64_t rows, std::int64_t columns) {
  if (matrix.rows() != rows || matrix.columns() != columns) matrix = MatrixF(rows, columns);
}

void Normalise(ConstViewF x, const std::vector<float>& weight, double epsilon, ViewF out) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    kernels::RmsNorm(x.row(i), weight.data(), weight.size(), static_cast<float>(epsilon),
                     out.row(i));
  }
}

// y = x W^T + b, or y += ... with kAddTo.
void Apply(const Linear& linear, ConstViewF x, ViewF y, linalg::Scale scale = {}) {
  linalg::Gemm(x, linalg::Transposed(linear.weight.view()), y, scale);
  if (linear.bias.empty()) return;
  for (std::int64_t i = 0; i < y.rows; ++i) {
    kernels::Axpy(1.0F, linear.bias.data(), linear.bias.size(), y.row(i));
  }
}

// Turns every head of `x` (S x heads * head_dim), in place.
void Rotate(const RopeTable& rope, ViewF x) {
  const std::int64_t half = rope.cosine.columns();
  for (std::int64_t position = 0; position < x.rows; ++position) {
    for (std::int64_t column = 0; column < x.columns; column += 2 * half) {
      kernels::RotateHalf(x.row(position) + column, rope.cosine.row(position),
                          rope.sine.row(position), static_cast<std::size_t>(half));
    }
  }
}

MatrixF Project(const BlockContext& context, Projection projection, ConstViewF x) {
  const Linear& linear = context.weights[projection];
  MatrixF y(x.rows, linear.weight.rows());
  if (!context.Left()) Apply(linear, x, y.view());
  return y;
}

void RunAttention(const BlockContext& context, ViewF hidden, BlockActivations& activations) {
  MatrixF& input = activations.attention_input;
  Normalise(hidden, context.weights.attention_norm, context.config.rms_norm_eps, input.view());
  MatrixF queries = Project(context, Projection::kQ, input.view());
  MatrixF keys = Project(context, Projection::kK, input.view());
  const MatrixF values = Project(context, Projection::kV, input.view());
  if (context.Left()) return;
  Rotate(context.rope, queries.view());
  Rotate(context.rope, keys.view());
  CausalAttention(AttentionShapeOf(context.config), {queries.view(), keys.view(), values.view()},
                  activations.attention_output.view());
  Apply(context.weights[Projection::kO], activations.attention_output.view(), hidden,
        linalg::kAddTo);
}

void RunMlp(const BlockContext& context, ViewF hidden, BlockActivations& activations) {
  MatrixF& input = activations.mlp_input;
  MatrixF& product = activations.mlp_down;
  Normalise(hidden, context.weights.mlp_norm, context.config.rms_norm_eps, input.view());
  const MatrixF gate = Project(context, Projection::kGate, input.view());
  if (context.Left()) return;
  Apply(context.weights[Projection::kUp], input.view(), product.view());
  kernels::SiluTimes(gate.data(), product.data(),
                     static_cast<std::size_t>(gate.rows() * gate.columns()), product.data());
  if (context.Left()) return;
  Apply(context.weights[Projection::kDown], product.view(), hidden, linalg::kAddTo);
}

}  // namespace

ConstViewF BlockActivations::Of(model::HessianKind kind) const {
  switch (kind) {
    case model::HessianKind::kAttentionInput:
      return attention_input.view();
    case model::HessianKind::kAttentionOutput:
      return attention_output.view();
    case model::HessianKind::kMlpInput:
      return mlp_input.view();
    case model::HessianKind::kMlpDown:
      return mlp_down.view();
  }
  return {};
}

void RunBlock(const BlockContext& context, ViewF hidden, BlockActivations& activations) {
  const model::ModelConfig& config = context.config;
  const std::int64_t heads_width = config.num_attention_heads * config.head_dim;
  Reshape(activations.attention_input, hidden.rows, config.hidden_size);
  Reshape(activations.attention_output, hidden.rows, heads_width);
  Reshape(activations.mlp_input, hidden.rows, config.hidden_size);
  Reshape(activations.mlp_down, hidden.rows, config.intermediate_size);
  RunAttention(context, hidden, activations);
  if (!context.Left()) RunMlp(context, hidden, activations);
}

}  // namespace caldera::llama
