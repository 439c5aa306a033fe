// GgufModelConfig of common/model/gguf_model.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <utility>

#include "common/base/status.h"
#include "common/model/gguf_model.h"

namespace caldera::model {
namespace {

constexpr char kEmbedding[] = "token_embd.weight";
constexpr char kHead[] = "output.weight";
constexpr char kRopeFactors[] = "rope_freqs.weight";

// Metadata of one file, by keys that carry the architecture's prefix.
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  const GgufFile& file() const { return file_; }
  std::string Key(const std::string& suffix) const { return prefix_ + suffix; }
  absl::StatusOr<std::int64_t> Integer(const std::string& suffix) const {
    return file_.metadata().Get<std::int64_t>(Key(suffix));
  }
  absl::StatusOr<std::int64_t> IntegerOr(const std::string& suffix, std::int64_t fallback) const {
    CALDERA_ASSIGN_OR_RETURN(const auto found, file_.metadata().Find<std::int64_t>(Key(suffix)));
    return found.value_or(fallback);
  }
  // Metadata holds float32: 1e-5 would come out as 9.99999974738e-06. The shortest decimal that is
  // the same float32 is what the model's author wrote.
  absl::StatusOr<std::optional<double>> FindNumber(const std::string& suffix) const {
    CALDERA_ASSIGN_OR_RETURN(const auto found, file_.metadata().Find<double>(Key(suffix)));
    if (!found) return found;
    const std::string shortest = fmt::format("{}", static_cast<float>(*found));
    return std::optional<double>(std::strtod(shortest.c_str(), nullptr));
  }

 private:
  const GgufFile& file_;
  const std::string prefix_;
};

absl::StatusOr<Architecture> ArchitectureOf(const GgufFile& file) {
  CALDERA_ASSIGN_OR_RETURN(const auto name,
                           file.metadata().Get<std::string>("general.architecture"));
  if (name == "llama") return Architecture::kLlama;
  if (name == "qwen2") return Architecture::kQwen2;
  return base::Unimplemented("{}: architecture \"{}\" is not supported, only llama and qwen2",
                             file.name(), name);
}

// Some writers give one number per layer; only one value for all layers is a model that we know.
absl::StatusOr<std::int64_t> Uniform(const Keys& keys, const std::string& suffix) {
  const GgufMetadata& metadata = keys.file().metadata();
  const auto list = metadata.Get<std::vector<std::int64_t>>(keys.Key(suffix));
  if (!list.ok()) return keys.Integer(suffix);
  const bool same =
      std::adjacent_find(list->begin(), list->end(), std::not_equal_to<>()) == list->end();
  if (!list->empty() && same) return list->front();
  return base::Unimplemented("{}: {} differs from layer to layer", keys.file().name(),
                             keys.Key(suffix));
}

absl::Status ReadHeads(const Keys& keys, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(config.num_attention_heads, Uniform(keys, "attention.head_count"));
  config.num_key_value_heads = config.num_attention_heads;
  if (keys.file().metadata().Has(keys.Key("attention.head_count_kv"))) {
    CALDERA_ASSIGN_OR_RETURN(config.num_key_value_heads, Uniform(keys, "attention.head_count_kv"));
  }
  if (config.num_attention_heads < 1) {
    return base::InvalidArgument("{}: {} is {}", keys.file().name(),
                                 keys.Key("attention.head_count"), config.num_attention_heads);
  }
  CALDERA_ASSIGN_OR_RETURN(
      config.head_dim,
      keys.IntegerOr("attention.key_length", config.hidden_size / config.num_attention_heads));
  CALDERA_ASSIGN_OR_RETURN(const auto value_dim,
                           keys.IntegerOr("attention.value_length", config.head_dim));
  CALDERA_ASSIGN_OR_RETURN(const auto rope_dim,
                           keys.IntegerOr("rope.dimension_count", config.head_dim));
  if (value_dim == config.head_dim && rope_dim == config.head_dim) return absl::OkStatus();
  return base::Unimplemented("{}: head dimensions {} (key), {} (value), {} (rope) differ",
                             keys.file().name(), config.head_dim, value_dim, rope_dim);
}

absl::Status ReadSizes(const Keys& keys, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(config.hidden_size, keys.Integer("embedding_length"));
  CALDERA_ASSIGN_OR_RETURN(config.num_hidden_layers, keys.Integer("block_count"));
  CALDERA_ASSIGN_OR_RETURN(config.intermediate_size, Uniform(keys, "feed_forward_length"));
  CALDERA_ASSIGN_OR_RETURN(config.max_position_embeddings, keys.Integer("context_length"));
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t experts, keys.IntegerOr("expert_count", 0));
  if (experts > 0) {
    return base::Unimplemented("{}: mixtures of experts are not supported", keys.file().name());
  }
  const TensorInfo* embedding = keys.file().Find(kEmbedding);
  if (embedding == nullptr) {
    return base::NotFound("{}: tensor {} is missing", keys.file().name(), kEmbedding);
  }
  config.vocab_size = embedding->rows();
  return ReadHeads(keys, config);
}

// The factor by which "llama3" divides the frequency of pair i; transformers'
// _compute_llama3_parameters, as a ratio.
double Llama3Divisor(const ModelConfig& config, const Llama3RopeScaling& scaling, std::int64_t i) {
  const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim);
  const double wavelength = 2 * std::numbers::pi * std::pow(config.rope_theta, exponent);
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  if (wavelength < original / scaling.high_freq_factor) return 1.0;
  if (wavelength > original / scaling.low_freq_factor) return scaling.factor;
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return 1.0 / ((1.0 - smooth) / scaling.factor + smooth);
}

// Converters turn "llama3" scaling into a tensor of divisors. The lowest frequency has the whole
// factor; the rest is the published constants of Llama 3.x, which the other divisors must confirm.
absl::Status ReadRopeFactors(const Keys& keys, ModelConfig& config) {
  if (keys.file().Find(kRopeFactors) == nullptr) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const std::vector<float> divisors, keys.file().ReadAll(kRopeFactors));
  const std::string where = keys.file().name() + ": tensor " + kRopeFactors;
  if (divisors.size() != static_cast<std::size_t>(config.head_dim / 2)) {
    return base::InvalidArgument("{} has {} values, expected {}", where, divisors.size(),
                                 config.head_dim / 2);
  }
  Llama3RopeScaling scaling;
  scaling.factor = static_cast<double>(divisors.back());
  CALDERA_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                           keys.IntegerOr("rope.scaling.original_context_length", 8192));
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    const double expected = Llama3Divisor(config, scaling, static_cast<std::int64_t>(i));
    if (!(std::abs(static_cast<double>(divisors[i]) - expected) <= 1e-4 * expected)) {
      return base::Unimplemented("{} is not of the llama3 form: value {} is {}, expected {}", where,
                                 i, divisors[i], expected);
    }
  }
  if (scaling.factor != 1.0) config.rope_llama3 = scaling;
  return absl::OkStatus();
}

absl::Status ReadRope(const Keys& keys, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(const auto theta, keys.FindNumber("rope.freq_base"));
  config.rope_theta = theta.value_or(10000.0);
  CALDERA_ASSIGN_OR_RETURN(const auto type,
                           keys.file().metadata().Find<std::string>(keys.Key("rope.scaling.type")));
  CALDERA_ASSIGN_OR_RETURN(const auto factor, keys.FindNumber("rope.scaling.factor"));
  CALDERA_ASSIGN_OR_RETURN(const auto old_factor, keys.FindNumber("rope.scale_linear"));
  if (type && *type != "linear" && *type != "none") {
    return base::Unimplemented("{}: rope scaling \"{}\" is not supported", keys.file().name(),
                               *type);
  }
  const double linear = type == "none" ? 1.0 : factor.value_or(old_factor.value_or(1.0));
  if (linear != 1.0) config.rope_linear_factor = linear;
  return absl::OkStatus();
}

bool HasTensor(const GgufFile& file, const std::string& name) { return file.Find(name) != nullptr; }

absl::Status ReadBiases(const GgufFile& file, ModelConfig& config) {
  config.attention_bias = HasTensor(file, "blk.0.attn_q.bias");
  config.attention_output_bias = HasTensor(file, "blk.0.attn_output.bias");
  config.mlp_bias = HasTensor(file, "blk.0.ffn_up.bias");
  const bool expressible =
      config.architecture == Architecture::kQwen2
          ? config.attention_bias && !config.attention_output_bias && !config.mlp_bias
          : config.attention_bias == config.attention_output_bias;
  if (expressible) return absl::OkStatus();
  return base::Unimplemented("{}: this combination of biases fits no supported architecture",
                             file.name());
}

absl::Status ReadTokens(const GgufMetadata& metadata, ModelConfig& config) {
  CALDERA_ASSIGN_OR_RETURN(config.bos_token_id,
                           metadata.Find<std::int64_t>("tokenizer.ggml.bos_token_id"));
  CALDERA_ASSIGN_OR_RETURN(const auto eos,
                           metadata.Find<std::int64_t>("tokenizer.ggml.eos_token_id"));
  if (eos) config.eos_token_ids = {*eos};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> GgufModelConfig(const GgufFile& file) {
  ModelConfig config;
  CALDERA_ASSIGN_OR_RETURN(config.architecture, ArchitectureOf(file));
  const Keys keys(file, config.architecture == Architecture::kLlama ? "llama." : "qwen2.");
  CALDERA_RETURN_IF_ERROR(ReadSizes(keys, config));
  CALDERA_ASSIGN_OR_RETURN(const auto epsilon, keys.FindNumber("attention.layer_norm_rms_epsilon"));
  if (!epsilon) {
    return base::NotFound("{}: no metadata key \"{}\"", file.name(),
                          keys.Key("attention.layer_norm_rms_epsilon"));
  }
  config.rms_norm_eps = *epsilon;
  CALDERA_RETURN_IF_ERROR(ReadBiases(file, config));
  CALDERA_RETURN_IF_ERROR(ReadTokens(file.metadata(), config));
  config.tie_word_embeddings = !HasTensor(file, kHead);
  CALDERA_RETURN_IF_ERROR(ReadRope(keys, config));
  // Bounds first: the rope factors are checked against head_dim.
  CALDERA_RETURN_IF_ERROR(ValidateModelConfig(config, file.name()));
  CALDERA_RETURN_IF_ERROR(ReadRopeFactors(keys, config));
  CALDERA_RETURN_IF_ERROR(ValidateModelConfig(config, file.name()));
  return config;
}

}  // namespace caldera::model
