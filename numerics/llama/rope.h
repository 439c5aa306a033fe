// Rotary position embedding in the rotate-half convention of Hugging Face checkpoints.
//
// Pair k (0 <= k < head_dim / 2) of a head at position p turns by the angle p * f_k:
//   f_k = theta^(-2k / head_dim), then scaled: "linear" divides by its factor; "llama3" divides
//   long wavelengths, keeps short ones and blends between (transformers, modeling_rope_utils.py).
#ifndef CALDERA_NUMERICS_LLAMA_ROPE_H_
#define CALDERA_NUMERICS_LLAMA_ROPE_H_

#include <cstdint>
#include <vector>

#include "common/model/model_config.h"
#include "numerics/linalg/matrix.h"

namespace caldera::llama {

// f_k for k = 0 .. head_dim / 2 - 1, scaling included, computed in float64.
std::vector<double> RopeFrequencies(const model::ModelConfig& config);

// cos and sin of p * f_k for positions [0, positions), each positions x head_dim / 2. Angles and
// their functions are taken in float64 and rounded once.
struct RopeTable {
  linalg::MatrixF cosine;
  linalg::MatrixF sine;
};
RopeTable MakeRopeTable(const model::ModelConfig& config, std::int64_t positions);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_ROPE_H_
