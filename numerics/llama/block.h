// One decoder layer over one window, and the four activations that Hessians are taken of.
//
//   x += O(attention(rope(Q n), rope(K n), V n)),  n = rmsnorm(x) * attention_norm
//   x += Down(silu(Gate n) * Up n),                n = rmsnorm(x) * mlp_norm
#ifndef CALDERA_NUMERICS_LLAMA_BLOCK_H_
#define CALDERA_NUMERICS_LLAMA_BLOCK_H_

#include "common/model/model_config.h"
#include "numerics/dist/interrupt.h"
#include "numerics/linalg/matrix.h"
#include "numerics/llama/rope.h"
#include "numerics/llama/weights.h"

namespace caldera::llama {

// Inputs of the layer's linear maps for one window of S tokens: S x hidden, S x heads * head_dim,
// S x hidden, S x intermediate. Filled by RunBlock; reusable as scratch from window to window.
struct BlockActivations {
  linalg::MatrixF attention_input;   // of q, k, v
  linalg::MatrixF attention_output;  // of o
  linalg::MatrixF mlp_input;         // of gate, up
  linalg::MatrixF mlp_down;          // of down

  linalg::ConstViewF Of(model::HessianKind kind) const;
};

// What all windows of a layer share: borrowed, so the pointees must outlive the call.
struct BlockContext {
  const model::ModelConfig& config;
  const LayerWeights& weights;
  const RopeTable& rope;  // at least S positions
  // Asked before each product; when it is left, outputs are of no use. Null: nobody interrupts.
  const dist::Interrupt* interrupt = nullptr;

  bool Left() const { return interrupt != nullptr && interrupt->Left(); }
};

// Turns `hidden` (S x hidden_size) into the layer's output in place and leaves the inputs of its
// linear maps in `activations`. Runs in the calling thread with single-threaded BLAS, so the bits
// depend on the window alone. Scratch: q, k, v and one S x intermediate matrix.
void RunBlock(const BlockContext& context, linalg::ViewF hidden, BlockActivations& activations);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_BLOCK_H_
