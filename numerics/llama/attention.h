// Causal attention with grouped key/value heads over one window, as GEMMs per head.
#ifndef CALDERA_NUMERICS_LLAMA_ATTENTION_H_
#define CALDERA_NUMERICS_LLAMA_ATTENTION_H_

#include <cstdint>
#include <optional>

#include "common/model/model_config.h"
#include "numerics/linalg/matrix.h"

namespace caldera::llama {

// Heads of one window. Query head g attends to key/value head g / (heads / key_value_heads).
struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::optional<std::int64_t> sliding_window;  // position i sees j with i - window < j <= i
};
AttentionShape AttentionShapeOf(const model::ModelConfig& config);

// Queries, keys and values of S positions with rotary embedding already applied:
// `queries` S x heads * head_dim, `keys` and `values` S x key_value_heads * head_dim.
struct AttentionInputs {
  linalg::ConstViewF queries;
  linalg::ConstViewF keys;
  linalg::ConstViewF values;
};

// out = softmax(Q K^T / sqrt(head_dim), causal) V, S x heads * head_dim. Runs in the calling thread
// (single-threaded BLAS), in blocks of query rows that do not touch the masked part of the keys:
// about 2 S^2 * head_dim * heads flops. Scratch: one block x S scores.
void CausalAttention(const AttentionShape& shape, const AttentionInputs& inputs, linalg::ViewF out);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_ATTENTION_H_
