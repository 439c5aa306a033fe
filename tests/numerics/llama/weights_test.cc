#include "numerics/llama/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/base/status.h"
#include "tests/numerics/llama/tiny_model.h"

namespace caldera::llama {
namespace {

using model::Projection;
using testing::HasSubstr;

TEST(Weights, LoadsTheTensorsOfItsLayer) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  const auto layer = LoadLayer(tensors, config, 1);
  ASSERT_TRUE(layer.ok()) << layer.status();
  const auto& down = tensors.Values("model.layers.1.mlp.down_proj.weight");
  EXPECT_EQ((*layer)[Projection::kDown].weight(3, 5), down[3 * 28 + 5]);
  EXPECT_EQ(layer->mlp_norm, tensors.Values("model.layers.1.post_attention_layernorm.weight"));
  EXPECT_TRUE((*layer)[Projection::kQ].bias.empty());
}

TEST(Weights, LoadsTheBiasesThatTheConfigurationHas) {
  model::ModelConfig config = TinyConfig();
  config.attention_bias = true;
  MemoryTensors tensors = RandomModel(config);
  const auto layer = LoadLayer(tensors, config, 0);
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ((*layer)[Projection::kV].bias, tensors.Values("model.layers.0.self_attn.v_proj.bias"));
  EXPECT_TRUE((*layer)[Projection::kO].bias.empty());
  EXPECT_TRUE((*layer)[Projection::kUp].bias.empty());
}

TEST(Weights, NamesAMissingTensor) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  tensors.Remove("model.layers.0.mlp.up_proj.weight");
  const auto layer = LoadLayer(tensors, config, 0);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(base::MessageOf(layer.status()), HasSubstr("model.layers.0.mlp.up_proj.weight"));
}

TEST(Weights, NamesATensorOfTheWrongShape) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  tensors.Put("model.layers.0.self_attn.k_proj.weight", {20, 6}, std::vector<float>(120));
  const auto layer = LoadLayer(tensors, config, 0);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::MessageOf(layer.status()), HasSubstr("self_attn.k_proj.weight"));
}

TEST(Weights, NamesTheTensorRowAndColumnOfANan) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  tensors.Values("model.layers.0.self_attn.o_proj.weight")[2 * 18 + 7] =
      std::numeric_limits<float>::quiet_NaN();
  const auto layer = LoadLayer(tensors, config, 0);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(base::MessageOf(layer.status()),
              HasSubstr("model.layers.0.self_attn.o_proj.weight, row 2, column 7"));
}

TEST(Weights, EmbedsTokensByRow) {
  const model::ModelConfig config = TinyConfig();
  MemoryTensors tensors = RandomModel(config);
  const std::vector<std::int32_t> ids = {49, 0, 49};
  const auto embedded = EmbedTokens(tensors, config, ids);
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  const auto& table = tensors.Values("model.embed_tokens.weight");
  EXPECT_EQ((*embedded)(0, 3), table[49 * 20 + 3]);
  EXPECT_EQ((*embedded)(1, 3), table[3]);
  EXPECT_EQ((*embedded)(2, 19), table[49 * 20 + 19]);
}

TEST(Weights, RejectsTokensOutsideTheVocabulary) {
  const model::ModelConfig config = TinyConfig();
  const MemoryTensors tensors = RandomModel(config);
  for (const std::int32_t bad : {-1, 50}) {
    const std::vector<std::int32_t> ids = {1, bad};
    const auto embedded = EmbedTokens(tensors, config, ids);
    EXPECT_EQ(embedded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(base::MessageOf(embedded.status()), HasSubstr(std::to_string(bad)));
  }
}

TEST(Weights, TakesTheHeadFromTheEmbeddingWhenTied) {
  model::ModelConfig config = TinyConfig();
  MemoryTensors untied = RandomModel(config);
  EXPECT_EQ((*LoadHeadRows(untied, config, 10, 2))(1, 4),
            untied.Values("lm_head.weight")[11 * 20 + 4]);
  config.tie_word_embeddings = true;
  MemoryTensors tied = RandomModel(config);
  EXPECT_EQ((*LoadHeadRows(tied, config, 10, 2))(1, 4),
            tied.Values("model.embed_tokens.weight")[11 * 20 + 4]);
  EXPECT_EQ(*LoadFinalNorm(tied, config), tied.Values("model.norm.weight"));
}

}  // namespace
}  // namespace caldera::llama
