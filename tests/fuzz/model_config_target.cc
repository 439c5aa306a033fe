// Input: a config.json.
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/model/model_config.h"
#include "common/model/size_estimate.h"
#include "tests/common/model/test_files.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

Verdict Run(const std::string& input) {
  const auto config = model::ParseModelConfig(input, "config.json");
  if (!config.ok()) return Verdict::kRefused;
  const auto again = model::ParseModelConfig(model::ModelConfigToJson(*config), "again");
  CALDERA_CHECK(again.ok(), "what was written: {}", base::MessageOf(again.status()));
  CALDERA_CHECK(*again == *config, "what was written reads differently");
  CALDERA_CHECK(model::ParameterCount(*config) > 0, "no parameters");
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const model::MatrixShape shape = model::ShapeOf(*config, static_cast<model::Projection>(p));
    CALDERA_CHECK(shape.rows > 0 && shape.columns > 0, "{} x {}", shape.rows, shape.columns);
  }
  return Verdict::kAccepted;
}

constexpr char kMistral[] =
    R"({"architectures":["MistralForCausalLM"],"hidden_size":8,"intermediate_size":16,)"
    R"("num_hidden_layers":1,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":2,)"
    R"("vocab_size":32,"max_position_embeddings":128,"sliding_window":null,"rms_norm_eps":1e-5,)"
    R"("rope_parameters":{"rope_type":"llama3","rope_theta":5e5,"factor":8.0,"low_freq_factor":1.0,)"
    R"("high_freq_factor":4.0,"original_max_position_embeddings":8192},"eos_token_id":[1,2]})";
constexpr char kQwen[] =
    R"({"model_type":"qwen2","hidden_act":"silu","hidden_size":8,"intermediate_size":16,)"
    R"("num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":4,"vocab_size":32,)"
    R"("max_position_embeddings":128,"use_sliding_window":true,"sliding_window":64,)"
    R"("max_window_layers":2,"rope_scaling":{"type":"linear","factor":2},"bos_token_id":1})";

std::string With(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

std::vector<Seed> Seeds() {
  const std::string llama = model::ModelConfigToJson(model::testing::SmallConfig());
  return {
      {"llama", Verdict::kAccepted, llama},
      {"mistral", Verdict::kAccepted, kMistral},
      {"qwen", Verdict::kAccepted, kQwen},
      {"no_heads", Verdict::kRefused, With(kQwen, "attention_heads\":4", "attention_heads\":0")},
      {"huge", Verdict::kRefused,
       With(kQwen, "hidden_size\":8", "hidden_size\":4611686018427387904")},
      {"two_scalings", Verdict::kRefused,
       With(kMistral, R"("sliding_window":null)",
            R"("rope_scaling":{"type":"linear","factor":2})")},
      {"key_twice", Verdict::kRefused, R"({"hidden_size":1,"hidden_size":1})"}};
}

}  // namespace

Target ModelConfigTarget() { return {"model_config", Run, Seeds}; }

}  // namespace caldera::fuzz
