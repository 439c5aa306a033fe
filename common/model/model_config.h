// One typed configuration for every supported architecture, from config.json or GGUF metadata.
#ifndef CALDERA_COMMON_MODEL_MODEL_CONFIG_H_
#define CALDERA_COMMON_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

enum class Architecture { kLlama, kMistral, kQwen2 };

// rope_type "llama3" of Llama 3.1+: see transformers' _compute_llama3_parameters.
struct Llama3RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
  friend bool operator==(const Llama3RopeScaling&, const Llama3RopeScaling&) = default;
};

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<double> rope_linear_factor;      // rope_type "linear"
  std::optional<Llama3RopeScaling> rope_llama3;  // rope_type "llama3"
  std::optional<std::int64_t> sliding_window;    // attention looks back this many positions
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k, v have a bias (Qwen2); o when also o_bias
  bool attention_output_bias = false;
  bool mlp_bias = false;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

// Reads config.json text. `name` is what errors call it. INVALID_ARGUMENT names the field that is
// missing, of the wrong type, out of bounds or inconsistent (heads not divisible by KV heads);
// UNIMPLEMENTED names an unknown architecture, activation or rope type.
absl::StatusOr<ModelConfig> ParseModelConfig(const std::string& json, const std::string& name);

// Bounds and consistency of the fields, for every way a configuration comes in. INVALID_ARGUMENT
// names the field; `name` is what errors call the configuration.
absl::Status ValidateModelConfig(const ModelConfig& config, const std::string& name);

// config.json that transformers loads and ParseModelConfig reads back to the same value
// (for models that came as GGUF). Keys sorted, deterministic.
std::string ModelConfigToJson(const ModelConfig& config);

// One linear layer of a decoder layer.
enum class Projection { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kProjectionCount = 7;
// "self_attn.q_proj", ..., "mlp.down_proj".
std::string ProjectionPath(Projection projection);
// "model.layers.{layer}.{path}.weight" (".bias" by the caller).
std::string WeightName(int layer, Projection projection);

// The four activations that Hessians are taken of; q/k/v and gate/up share one.
enum class HessianKind { kAttentionInput, kAttentionOutput, kMlpInput, kMlpDown };
inline constexpr int kHessianKindCount = 4;
// "attn_in", "attn_out", "mlp_in", "mlp_down".
std::string HessianKindName(HessianKind kind);
HessianKind HessianOf(Projection projection);

// m = outputs, n = inputs of a projection under this configuration.
struct MatrixShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};
MatrixShape ShapeOf(const ModelConfig& config, Projection projection);
// Dimension n of the n x n Hessian.
std::int64_t HessianSize(const ModelConfig& config, HessianKind kind);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_MODEL_CONFIG_H_
