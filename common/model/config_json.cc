// ParseModelConfig and ModelConfigToJson of common/model/model_config.h.
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_object.h"
#include "common/model/model_config.h"

namespace caldera::model {
namespace {

constexpr std::int64_t kMistralDefaultWindow = 4096;

struct ArchitectureNames {
  Architecture architecture;
  const char* class_name;
  const char* model_type;
};
constexpr ArchitectureNames kArchitectures[] = {
    {Architecture::kLlama, "LlamaForCausalLM", "llama"},
    {Architecture::kMistral, "MistralForCausalLM", "mistral"},
    {Architecture::kQwen2, "Qwen2ForCausalLM", "qwen2"},
};

const ArchitectureNames& NamesOf(Architecture architecture) {
  return kArchitectures[static_cast<std::size_t>(architecture)];
}

// "architectures" decides; files without it have at least a "model_type".
absl::StatusOr<Architecture> ParseArchitecture(const JsonObject& json) {
  std::string found;
  if (json.Has("architectures")) {
    CALDERA_ASSIGN_OR_RETURN(const auto classes, json.Strings("architectures"));
    if (!classes.empty()) found = classes.front();
  }
  for (const ArchitectureNames& names : kArchitectures) {
    if (found == names.class_name) return names.architecture;
  }
  if (found.empty()) {
    CALDERA_ASSIGN_OR_RETURN(found, json.String("model_type"));
    for (const ArchitectureNames& names : kArchitectures) {
      if (found == names.model_type) return names.architecture;
    }
  }
  return base::Unimplemented(
      "{}: architecture \"{}\" is not supported; supported are Llama, Mistral and Qwen2",
      json.name(), found);
}

absl::Status ParseSizes(const JsonObject& json, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(config.hidden_size, json.Integer("hidden_size"));
  CALDERA_ASSIGN_OR_RETURN(config.intermediate_size, json.Integer("intermediate_size"));
  CALDERA_ASSIGN_OR_RETURN(config.num_hidden_layers, json.Integer("num_hidden_layers"));
  CALDERA_ASSIGN_OR_RETURN(config.num_attention_heads, json.Integer("num_attention_heads"));
  CALDERA_ASSIGN_OR_RETURN(config.vocab_size, json.Integer("vocab_size"));
  CALDERA_ASSIGN_OR_RETURN(config.max_position_embeddings, json.Integer("max_position_embeddings"));
  // Only Llama's default is "as many as heads"; the others' fixed numbers are always written.
  const bool needs_kv_heads = config.architecture != Architecture::kLlama;
  CALDERA_ASSIGN_OR_RETURN(config.num_key_value_heads,
                           needs_kv_heads
                               ? json.Integer("num_key_value_heads")
                               : json.IntegerOr("num_key_value_heads", config.num_attention_heads));
  if (config.num_attention_heads < 1) {
    return base::InvalidArgument("{}: num_attention_heads is {}", json.name(),
                                 config.num_attention_heads);
  }
  if (!json.Has("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    return base::InvalidArgument("{}: hidden_size {} is no multiple of num_attention_heads {}",
                                 json.name(), config.hidden_size, config.num_attention_heads);
  }
  CALDERA_ASSIGN_OR_RETURN(
      config.head_dim, json.IntegerOr("head_dim", config.hidden_size / config.num_attention_heads));
  return absl::OkStatus();
}

absl::StatusOr<Llama3RopeScaling> ParseLlama3Scaling(const JsonObject& rope) {
  Llama3RopeScaling scaling;
  CALDERA_ASSIGN_OR_RETURN(scaling.factor, rope.Number("factor"));
  CALDERA_ASSIGN_OR_RETURN(scaling.low_freq_factor, rope.Number("low_freq_factor"));
  CALDERA_ASSIGN_OR_RETURN(scaling.high_freq_factor, rope.Number("high_freq_factor"));
  CALDERA_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                           rope.Integer("original_max_position_embeddings"));
  return scaling;
}

absl::Status ParseRopeScaling(const JsonObject& rope, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(const std::string old_type, rope.StringOr("type", "default"));
  CALDERA_ASSIGN_OR_RETURN(const std::string type, rope.StringOr("rope_type", old_type));
  if (type == "default") return absl::OkStatus();
  if (type == "llama3") {
    CALDERA_ASSIGN_OR_RETURN(config.rope_llama3, ParseLlama3Scaling(rope));
    return absl::OkStatus();
  }
  if (type == "linear") {
    CALDERA_ASSIGN_OR_RETURN(config.rope_linear_factor, rope.Number("factor"));
    return absl::OkStatus();
  }
  return base::Unimplemented("{}: rope type \"{}\" is not supported", rope.name(), type);
}

// transformers 5 puts everything into "rope_parameters"; before, theta stood outside
// "rope_scaling".
absl::Status ParseRope(const JsonObject& json, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(config.rope_theta, json.NumberOr("rope_theta", config.rope_theta));
  CALDERA_ASSIGN_OR_RETURN(const double partial, json.NumberOr("partial_rotary_factor", 1.0));
  if (partial != 1.0) {
    return base::Unimplemented("{}: partial_rotary_factor {} is not supported", json.name(),
                               partial);
  }
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!json.Has(key)) continue;
    CALDERA_ASSIGN_OR_RETURN(const JsonObject rope, json.Object(key));
    CALDERA_ASSIGN_OR_RETURN(config.rope_theta, rope.NumberOr("rope_theta", config.rope_theta));
    CALDERA_RETURN_IF_ERROR(ParseRopeScaling(rope, config));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> BoolOr(const JsonObject& json, const std::string& key, bool fallback) {
  CALDERA_ASSIGN_OR_RETURN(const auto value, json.FindBool(key));
  return value.value_or(fallback);
}

absl::Status ParseBiases(const JsonObject& json, ModelConfig& config) {
  if (config.architecture == Architecture::kQwen2) {
    config.attention_bias = true;
    return absl::OkStatus();
  }
  if (config.architecture == Architecture::kMistral) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(config.attention_bias, BoolOr(json, "attention_bias", false));
  config.attention_output_bias = config.attention_bias;
  CALDERA_ASSIGN_OR_RETURN(config.mlp_bias, BoolOr(json, "mlp_bias", false));
  return absl::OkStatus();
}

// Mistral: a number or null (none); absent means its class default. Qwen2: from layer
// max_window_layers on, and only if use_sliding_window; a mixed model is refused.
absl::Status ParseSlidingWindow(const JsonObject& json, ModelConfig& config) {
  if (config.architecture == Architecture::kMistral) {
    if (!json.Contains("sliding_window")) {
      config.sliding_window = kMistralDefaultWindow;
      return absl::OkStatus();
    }
    CALDERA_ASSIGN_OR_RETURN(config.sliding_window, json.FindInteger("sliding_window"));
  }
  if (config.architecture != Architecture::kQwen2) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const bool used, BoolOr(json, "use_sliding_window", false));
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t full_layers, json.IntegerOr("max_window_layers", 0));
  if (!used || !json.Has("sliding_window") || full_layers >= config.num_hidden_layers) {
    return absl::OkStatus();
  }
  return base::Unimplemented("{}: use_sliding_window is not supported for Qwen2", json.name());
}

absl::Status ParseTokens(const JsonObject& json, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(const auto bos, json.AnyIntegers("bos_token_id"));
  if (!bos.empty()) config.bos_token_id = bos.front();
  CALDERA_ASSIGN_OR_RETURN(config.eos_token_ids, json.AnyIntegers("eos_token_id"));
  return absl::OkStatus();
}

absl::Status CheckActivation(const JsonObject& json) {
  CALDERA_ASSIGN_OR_RETURN(const std::string activation, json.StringOr("hidden_act", "silu"));
  if (activation == "silu" || activation == "swish") return absl::OkStatus();
  return base::Unimplemented("{}: hidden_act \"{}\" is not supported, only silu", json.name(),
                             activation);
}

nlohmann::json RopeScalingToJson(const ModelConfig& config) {
  if (config.rope_llama3) {
    const Llama3RopeScaling& scaling = *config.rope_llama3;
    return {{"rope_type", "llama3"},
            {"factor", scaling.factor},
            {"low_freq_factor", scaling.low_freq_factor},
            {"high_freq_factor", scaling.high_freq_factor},
            {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
  }
  if (config.rope_linear_factor) {
    return {{"rope_type", "linear"}, {"factor", *config.rope_linear_factor}};
  }
  return nullptr;
}

nlohmann::json EosToJson(const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return nullptr;
  if (ids.size() == 1) return ids.front();
  return ids;
}

void AddArchitectureFields(const ModelConfig& config, nlohmann::json& json) {
  switch (config.architecture) {
    case Architecture::kLlama:
      json["attention_bias"] = config.attention_bias;
      json["mlp_bias"] = config.mlp_bias;
      break;
    case Architecture::kMistral:
      json["sliding_window"] =
          config.sliding_window ? nlohmann::json(*config.sliding_window) : nlohmann::json();
      break;
    case Architecture::kQwen2:
      json["use_sliding_window"] = false;
      break;
  }
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(const std::string& text, const std::string& name) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject json, JsonObject::Parse(text, name));
  ModelConfig config;
  CALDERA_ASSIGN_OR_RETURN(config.architecture, ParseArchitecture(json));
  CALDERA_RETURN_IF_ERROR(CheckActivation(json));
  CALDERA_RETURN_IF_ERROR(ParseSizes(json, config));
  CALDERA_RETURN_IF_ERROR(ParseRope(json, config));
  CALDERA_RETURN_IF_ERROR(ParseBiases(json, config));
  CALDERA_RETURN_IF_ERROR(ParseSlidingWindow(json, config));
  CALDERA_RETURN_IF_ERROR(ParseTokens(json, config));
  CALDERA_ASSIGN_OR_RETURN(config.rms_norm_eps, json.NumberOr("rms_norm_eps", 1e-6));
  CALDERA_ASSIGN_OR_RETURN(config.tie_word_embeddings, BoolOr(json, "tie_word_embeddings", false));
  CALDERA_RETURN_IF_ERROR(ValidateModelConfig(config, name));
  return config;
}

std::string ModelConfigToJson(const ModelConfig& config) {
  const ArchitectureNames& names = NamesOf(config.architecture);
  nlohmann::json json = {
      {"architectures", {names.class_name}},
      {"model_type", names.model_type},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_attention_heads", config.num_attention_heads},
      {"num_key_value_heads", config.num_key_value_heads},
      {"head_dim", config.head_dim},
      {"vocab_size", config.vocab_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"rms_norm_eps", config.rms_norm_eps},
      {"rope_theta", config.rope_theta},
      {"rope_scaling", RopeScalingToJson(config)},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"bos_token_id",
       config.bos_token_id ? nlohmann::json(*config.bos_token_id) : nlohmann::json()},
      {"eos_token_id", EosToJson(config.eos_token_ids)},
  };
  AddArchitectureFields(config, json);
  return json.dump(2) + "\n";
}

}  // namespace caldera::model
