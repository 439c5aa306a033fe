#include "numerics/llama/attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "numerics/kernels/transformer.h"
#include "numerics/linalg/blas.h"

namespace caldera::llama {
namespace {

// Query rows per GEMM: large enough for BLAS speed, small enough that little of the masked triangle
// is computed.
constexpr std::int64_t kQueryBlock = 128;

// First key that query `position` sees.
std::int64_t FirstVisible(const AttentionShape& shape, std::int64_t position) {
  if (!shape.sliding_window) return 0;
  return std::max<std::int64_t>(0, position - *shape.sliding_window + 1);
}

// Row i of `scores` (query first_query + i against keys first_key ...) becomes probabilities, zero
// where masked.
void MaskedSoftmax(const AttentionShape& shape, std::int64_t first_query, std::int64_t first_key,
                   linalg::ViewF scores) {
  for (std::int64_t i = 0; i < scores.rows; ++i) {
    float* row = scores.row(i);
    const std::int64_t begin = FirstVisible(shape, first_query + i) - first_key;
    const std::int64_t end = first_query + i + 1 - first_key;
    kernels::Softmax(row + begin, static_cast<std::size_t>(end - begin));
    std::fill(row, row + begin, 0.0F);
    std::fill(row + end, row + scores.columns, 0.0F);
  }
}

// One query head against its key/value head: all arguments S x head_dim.
void AttendHead(const AttentionShape& shape, const AttentionInputs& head, linalg::ViewF scratch,
                linalg::ViewF out) {
  const linalg::Scale scale{1 / std::sqrt(static_cast<double>(shape.head_dim)), 0};
  for (std::int64_t first = 0; first < out.rows; first += kQueryBlock) {
    const std::int64_t count = std::min(kQueryBlock, out.rows - first);
    const std::int64_t first_key = FirstVisible(shape, first);
    const std::int64_t keys = first + count - first_key;
    const linalg::ViewF scores = scratch.Block(0, 0, count, keys);
    linalg::Gemm(head.queries.Rows(first, count),
                 linalg::Transposed(head.keys.Rows(first_key, keys)), scores, scale);
    MaskedSoftmax(shape, first, first_key, scores);
    linalg::Gemm(linalg::ConstViewF(scores), head.values.Rows(first_key, keys),
                 out.Rows(first, count));
  }
}

}  // namespace

AttentionShape AttentionShapeOf(const model::ModelConfig& config) {
  return {config.num_attention_heads, config.num_key_value_heads, config.head_dim,
          config.sliding_window};
}

void CausalAttention(const AttentionShape& shape, const AttentionInputs& inputs,
                     linalg::ViewF out) {
  linalg::MatrixF scratch(std::min(kQueryBlock, out.rows), out.rows);
  const std::int64_t group = shape.heads / shape.key_value_heads;
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    const std::int64_t shared = h / group * shape.head_dim;
    const AttentionInputs head{inputs.queries.Columns(h * shape.head_dim, shape.head_dim),
                               inputs.keys.Columns(shared, shape.head_dim),
                               inputs.values.Columns(shared, shape.head_dim)};
    AttendHead(shape, head, scratch.view(), out.Columns(h * shape.head_dim, shape.head_dim));
  }
}

}  // namespace caldera::llama
