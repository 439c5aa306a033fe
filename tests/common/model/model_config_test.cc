#include "common/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SmallConfig;

// A valid config.json with `extra` fields before the common ones.
std::string Json(const std::string& class_name, const std::string& extra) {
  return R"({"architectures": [")" + class_name + R"("], )" + extra +
         R"("hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10,
             "max_position_embeddings": 64})";
}
std::string Llama(const std::string& extra) { return Json("LlamaForCausalLM", extra); }

std::string ErrorOf(const std::string& json) {
  return base::MessageOf(ParseModelConfig(json, "config.json").status());
}
ModelConfig Parse(const std::string& json) {
  const auto config = ParseModelConfig(json, "config.json");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ModelConfig());
}

TEST(ModelConfig, LlamaDefaults) {
  const ModelConfig config = Parse(Llama(""));
  EXPECT_EQ(config.architecture, Architecture::kLlama);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_FALSE(config.rope_llama3.has_value());
}

TEST(ModelConfig, Llama3RopeScaling) {
  const std::string scaling =
      R"("rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
          "rope_theta": 500000.0, "tie_word_embeddings": true, "head_dim": 8,
          "bos_token_id": 5, "eos_token_id": [6, 7], )";
  const ModelConfig config = Parse(Llama(scaling));
  EXPECT_EQ(config.rope_llama3, (Llama3RopeScaling{32.0, 1.0, 4.0, 8192}));
  EXPECT_EQ(config.rope_theta, 500000.0);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.bos_token_id, 5);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(6, 7));
}

TEST(ModelConfig, NewerRopeParametersAndOlderType) {
  const ModelConfig newer = Parse(Llama(
      R"("dtype": "bfloat16", "rope_parameters": {"rope_type": "default", "rope_theta": 5.0}, )"));
  EXPECT_EQ(newer.rope_theta, 5.0);
  const ModelConfig older = Parse(Llama(R"("rope_scaling": {"type": "linear", "factor": 2.0}, )"));
  EXPECT_EQ(older.rope_linear_factor, 2.0);
  EXPECT_FALSE(Parse(Llama(R"("rope_scaling": null, )")).rope_linear_factor.has_value());
}

TEST(ModelConfig, MistralSlidingWindowIsANumberNullOrItsDefault) {
  const auto window = [](const std::string& extra) {
    return Parse(Json("MistralForCausalLM", extra)).sliding_window;
  };
  EXPECT_EQ(window(R"("sliding_window": 8, )"), 8);
  EXPECT_EQ(window(R"("sliding_window": null, )"), std::nullopt);
  EXPECT_EQ(window(""), 4096);
}

TEST(ModelConfig, Qwen2HasBiasesOnQKV) {
  const ModelConfig config =
      Parse(Json("Qwen2ForCausalLM", R"("use_sliding_window": false, "sliding_window": 32, )"));
  EXPECT_TRUE(config.attention_bias);
  EXPECT_FALSE(config.attention_output_bias);
  EXPECT_FALSE(config.sliding_window.has_value());
  EXPECT_THAT(
      ErrorOf(Json("Qwen2ForCausalLM", R"("use_sliding_window": true, "sliding_window": 32, )")),
      HasSubstr("use_sliding_window"));
}

TEST(ModelConfig, LlamaBiasesCoverTheOutputToo) {
  const ModelConfig config = Parse(Llama(R"("attention_bias": true, "mlp_bias": true, )"));
  EXPECT_TRUE(config.attention_output_bias);
  EXPECT_TRUE(config.mlp_bias);
}

TEST(ModelConfig, ErrorsNameTheField) {
  EXPECT_THAT(ErrorOf(Json("GPT2LMHeadModel", "")), HasSubstr("GPT2LMHeadModel"));
  EXPECT_THAT(ErrorOf(Llama(R"("hidden_act": "gelu", )")), HasSubstr("gelu"));
  EXPECT_THAT(ErrorOf(Llama(R"("rope_scaling": {"rope_type": "yarn"}, )")), HasSubstr("yarn"));
  EXPECT_THAT(ErrorOf(Llama(R"("rms_norm_eps": "x", )")), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(ErrorOf(Llama(R"("head_dim": 3, )")), HasSubstr("head_dim"));
  EXPECT_THAT(ErrorOf(Llama(R"("partial_rotary_factor": 0.5, )")), HasSubstr("partial"));
  EXPECT_THAT(ErrorOf(R"({"model_type": "llama"})"), HasSubstr("hidden_size"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("model_type"));
}

TEST(ModelConfig, SizesAreBoundedAndConsistent) {
  ModelConfig config = SmallConfig();
  config.num_key_value_heads = 3;
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")), HasSubstr("no multiple"));
  config = SmallConfig();
  config.num_hidden_layers = 1 << 30;
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")), HasSubstr("num_hidden_layers"));
  config = SmallConfig();
  config.vocab_size = 0;
  EXPECT_FALSE(ValidateModelConfig(config, "x").ok());
}

TEST(ModelConfig, RopeScalingIsFiniteAndOfOneKind) {
  ModelConfig config = SmallConfig();
  config.rope_theta = HUGE_VAL;
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")), HasSubstr("rope_theta"));
  config = SmallConfig();
  config.rope_linear_factor = HUGE_VAL;
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")),
              HasSubstr("scaling factor is inf"));
  config.rope_linear_factor = 0.5;
  EXPECT_FALSE(ValidateModelConfig(config, "x").ok());
  config.rope_linear_factor = 2;
  EXPECT_TRUE(ValidateModelConfig(config, "x").ok());
  config.rope_llama3 = Llama3RopeScaling{};
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")),
              HasSubstr("both linear and llama3"));
  config.rope_linear_factor.reset();
  EXPECT_TRUE(ValidateModelConfig(config, "x").ok());
  config.rope_llama3->original_max_position_embeddings = 0;
  EXPECT_THAT(base::MessageOf(ValidateModelConfig(config, "x")), HasSubstr("llama3"));
}

TEST(ModelConfig, JsonReadsBackToTheSameValue) {
  ModelConfig llama = SmallConfig();
  llama.rope_llama3 = Llama3RopeScaling{32.0, 1.0, 4.0, 8192};
  llama.attention_bias = llama.attention_output_bias = true;
  ModelConfig mistral = SmallConfig();
  mistral.architecture = Architecture::kMistral;
  mistral.sliding_window = 32;
  mistral.eos_token_ids = {1, 2};
  ModelConfig qwen = SmallConfig();
  qwen.architecture = Architecture::kQwen2;
  qwen.attention_bias = true;
  qwen.rope_linear_factor = 4.0;
  qwen.bos_token_id.reset();
  for (const ModelConfig& config : {SmallConfig(), llama, mistral, qwen}) {
    EXPECT_EQ(Parse(ModelConfigToJson(config)), config) << ModelConfigToJson(config);
  }
}

TEST(ModelConfig, EveryPrefixIsRejected) {
  std::string json = ModelConfigToJson(SmallConfig());
  json.pop_back();  // the line break
  for (std::size_t length = 0; length < json.size(); ++length) {
    EXPECT_FALSE(ParseModelConfig(json.substr(0, length), "config.json").ok()) << length;
  }
}

TEST(ModelConfig, FlippedBitsGiveAValidConfigurationOrAnError) {
  const std::string json = ModelConfigToJson(SmallConfig());
  for (std::size_t bit = 0; bit < 8 * json.size(); ++bit) {
    std::string flipped = json;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto config = ParseModelConfig(flipped, "config.json");
    if (config.ok()) {
      EXPECT_TRUE(ValidateModelConfig(*config, "x").ok()) << bit;
    }
  }
}

TEST(ModelConfig, ShapesAndHessiansOfProjections) {
  const ModelConfig config = SmallConfig();
  EXPECT_EQ(ShapeOf(config, Projection::kQ).rows, 16);
  EXPECT_EQ(ShapeOf(config, Projection::kK).rows, 8);
  EXPECT_EQ(ShapeOf(config, Projection::kDown).columns, 24);
  for (int i = 0; i < kProjectionCount; ++i) {
    const auto projection = static_cast<Projection>(i);
    EXPECT_EQ(HessianSize(config, HessianOf(projection)), ShapeOf(config, projection).columns);
  }
  EXPECT_EQ(WeightName(3, Projection::kO), "model.layers.3.self_attn.o_proj.weight");
  EXPECT_EQ(HessianKindName(HessianKind::kMlpDown), "mlp_down");
}

}  // namespace
}  // namespace caldera::model
