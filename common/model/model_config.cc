#include "common/model/model_config.h"

#include <fmt/format.h>

#include <cmath>

#include "common/base/status.h"

namespace caldera::model {

std::string ProjectionPath(Projection projection) {
  switch (projection) {
    case Projection::kQ:
      return "self_attn.q_proj";
    case Projection::kK:
      return "self_attn.k_proj";
    case Projection::kV:
      return "self_attn.v_proj";
    case Projection::kO:
      return "self_attn.o_proj";
    case Projection::kGate:
      return "mlp.gate_proj";
    case Projection::kUp:
      return "mlp.up_proj";
    case Projection::kDown:
      break;
  }
  return "mlp.down_proj";
}

std::string WeightName(int layer, Projection projection) {
  return fmt::format("model.layers.{}.{}.weight", layer, ProjectionPath(projection));
}

std::string HessianKindName(HessianKind kind) {
  switch (kind) {
    case HessianKind::kAttentionInput:
      return "attn_in";
    case HessianKind::kAttentionOutput:
      return "attn_out";
    case HessianKind::kMlpInput:
      return "mlp_in";
    case HessianKind::kMlpDown:
      break;
  }
  return "mlp_down";
}

HessianKind HessianOf(Projection projection) {
  switch (projection) {
    case Projection::kQ:
    case Projection::kK:
    case Projection::kV:
      return HessianKind::kAttentionInput;
    case Projection::kO:
      return HessianKind::kAttentionOutput;
    case Projection::kGate:
    case Projection::kUp:
      return HessianKind::kMlpInput;
    case Projection::kDown:
      break;
  }
  return HessianKind::kMlpDown;
}

MatrixShape ShapeOf(const ModelConfig& config, Projection projection) {
  const std::int64_t query = config.num_attention_heads * config.head_dim;
  const std::int64_t key_value = config.num_key_value_heads * config.head_dim;
  switch (projection) {
    case Projection::kQ:
      return {query, config.hidden_size};
    case Projection::kK:
    case Projection::kV:
      return {key_value, config.hidden_size};
    case Projection::kO:
      return {config.hidden_size, query};
    case Projection::kGate:
    case Projection::kUp:
      return {config.intermediate_size, config.hidden_size};
    case Projection::kDown:
      break;
  }
  return {config.hidden_size, config.intermediate_size};
}

std::int64_t HessianSize(const ModelConfig& config, HessianKind kind) {
  switch (kind) {
    case HessianKind::kAttentionInput:
    case HessianKind::kMlpInput:
      return config.hidden_size;
    case HessianKind::kAttentionOutput:
      return config.num_attention_heads * config.head_dim;
    case HessianKind::kMlpDown:
      break;
  }
  return config.intermediate_size;
}

namespace {

absl::Status ValidateRope(const ModelConfig& config, const std::string& name) {
  if (!(config.rope_theta > 0 && std::isfinite(config.rope_theta))) {
    return base::InvalidArgument("{}: rope_theta is {}", name, config.rope_theta);
  }
  const double linear = config.rope_linear_factor.value_or(1);
  if (!(linear >= 1 && std::isfinite(linear))) {
    return base::InvalidArgument("{}: the rope scaling factor is {}", name, linear);
  }
  if (!config.rope_llama3) return absl::OkStatus();
  if (config.rope_linear_factor) {
    return base::InvalidArgument("{}: rope scaling is both linear and llama3", name);
  }
  const Llama3RopeScaling& llama3 = *config.rope_llama3;
  const bool sound =
      llama3.factor >= 1 && std::isfinite(llama3.factor) && llama3.low_freq_factor > 0 &&
      llama3.high_freq_factor > llama3.low_freq_factor && std::isfinite(llama3.high_freq_factor) &&
      llama3.original_max_position_embeddings > 0;
  if (sound) return absl::OkStatus();
  return base::InvalidArgument("{}: llama3 rope scaling out of range", name);
}

}  // namespace

absl::Status ValidateModelConfig(const ModelConfig& config, const std::string& name) {
  struct Bound {
    const char* field;
    std::int64_t value;
    std::int64_t most;
  };
  const Bound bounds[] = {
      {"hidden_size", config.hidden_size, std::int64_t{1} << 20},
      {"intermediate_size", config.intermediate_size, std::int64_t{1} << 22},
      {"num_hidden_layers", config.num_hidden_layers, 4096},
      {"num_attention_heads", config.num_attention_heads, 4096},
      {"num_key_value_heads", config.num_key_value_heads, 4096},
      {"head_dim", config.head_dim, 4096},
      {"vocab_size", config.vocab_size, std::int64_t{1} << 24},
      {"max_position_embeddings", config.max_position_embeddings, std::int64_t{1} << 32},
      {"sliding_window", config.sliding_window.value_or(1), std::int64_t{1} << 32},
  };
  for (const auto& [field, value, most] : bounds) {
    if (value >= 1 && value <= most) continue;
    return base::InvalidArgument("{}: {} is {}, accepted are 1 to {}", name, field, value, most);
  }
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    return base::InvalidArgument(
        "{}: num_attention_heads {} is no multiple of num_key_value_heads {}", name,
        config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim % 2 != 0) {
    return base::InvalidArgument("{}: head_dim {} is odd", name, config.head_dim);
  }
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1)) {
    return base::InvalidArgument("{}: rms_norm_eps is {}", name, config.rms_norm_eps);
  }
  return ValidateRope(config, name);
}

}  // namespace caldera::model
