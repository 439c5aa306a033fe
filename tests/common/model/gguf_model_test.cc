#include "common/model/gguf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "common/base/status.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::InterleavedRow;
using testing::Ramp;
using testing::SmallConfig;
using testing::SmallGgufMetadata;
using testing::SourceOf;

// 16 x 16 values of q whose Hugging Face order is Ramp(256, 0).
std::vector<float> InterleavedRamp(std::int64_t rows, std::int64_t columns) {
  std::vector<float> stored(static_cast<std::size_t>(rows * columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t at = InterleavedRow(row, 4) * columns + column;
      stored[static_cast<std::size_t>(at)] = static_cast<float>(row * columns + column);
    }
  }
  return stored;
}

GgufBytes SmallGguf() {
  GgufBytes gguf = SmallGgufMetadata();
  gguf.Floats("token_embd.weight", {10, 16}, Ramp(160, 0));
  gguf.Floats("blk.0.attn_q.weight", {16, 16}, InterleavedRamp(16, 16));
  gguf.Floats("blk.0.attn_v.weight", {8, 16}, Ramp(128, 0));
  return gguf;
}

absl::StatusOr<std::unique_ptr<GgufModel>> OpenBytes(GgufBytes gguf) {
  auto file = GgufFile::Open(SourceOf(gguf.Finish()));
  if (!file.ok()) return file.status();
  return GgufModel::Open(*std::move(file));
}

std::string ErrorOf(GgufBytes gguf) { return base::MessageOf(OpenBytes(std::move(gguf)).status()); }

TEST(GgufModel, ReadsTheConfiguration) {
  const auto model = OpenBytes(SmallGguf());
  ASSERT_TRUE(model.ok()) << model.status();
  ModelConfig expected = SmallConfig();
  expected.tie_word_embeddings = true;
  EXPECT_EQ((*model)->config(), expected);
}

TEST(GgufModel, UnpermutesEveryRangeOfQueryRows) {
  const auto model = OpenBytes(SmallGguf());
  ASSERT_TRUE(model.ok());
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  for (std::int64_t first = 0; first <= 16; ++first) {
    for (std::int64_t count = 0; first + count <= 16; ++count) {
      std::vector<float> rows(static_cast<std::size_t>(16 * count));
      ASSERT_TRUE((*model)->ReadRows(name, first, count, rows).ok());
      EXPECT_EQ(rows, Ramp(16 * count, static_cast<float>(16 * first))) << first << " " << count;
    }
  }
  std::vector<float> row(16);
  EXPECT_EQ((*model)->ReadRows(name, 16, 1, row).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*model)->ReadRows(name, 0, 2, row).code(), absl::StatusCode::kInvalidArgument);
}

TEST(GgufModel, LeavesValueRowsAsTheyAre) {
  const auto model = OpenBytes(SmallGguf());
  EXPECT_EQ(*(*model)->ReadAll("model.layers.0.self_attn.v_proj.weight"), Ramp(128, 0));
}

TEST(GgufModel, RawBytesOnlyOfRowsInHuggingFaceOrder) {
  const auto model = OpenBytes(SmallGguf());
  EXPECT_TRUE((*model)->ReadRaw("model.embed_tokens.weight").ok());
  EXPECT_EQ((*model)->ReadRaw("model.layers.0.self_attn.q_proj.weight").status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ((*model)->ReadRaw("none").status().code(), absl::StatusCode::kNotFound);
}

TEST(GgufModel, NamesMapToHuggingFace) {
  EXPECT_EQ(HuggingFaceName("output.weight"), "lm_head.weight");
  EXPECT_EQ(HuggingFaceName("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(HuggingFaceName("blk.12.ffn_norm.weight"),
            "model.layers.12.post_attention_layernorm.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.attn_k.bias"), "model.layers.0.self_attn.k_proj.bias");
  for (const std::string name : {"blk.00.attn_k.bias", "blk..attn_k.bias", "blk.1", "blk.1.attn_k",
                                 "blk.-1.attn_k.bias", "blk.0.ffn_gate_inp.weight", ""}) {
    EXPECT_FALSE(HuggingFaceName(name).has_value()) << name;
  }
}

TEST(GgufModel, ErrorsNameTheCulprit) {
  EXPECT_THAT(ErrorOf(GgufBytes().Text("general.architecture", "gpt2")), HasSubstr("gpt2"));
  EXPECT_THAT(ErrorOf(SmallGgufMetadata()), HasSubstr("token_embd.weight is missing"));
  EXPECT_THAT(ErrorOf(SmallGguf().Floats("blk.0.extra.weight", {1}, {0})),
              HasSubstr("blk.0.extra.weight"));
  EXPECT_THAT(ErrorOf(SmallGguf().U32("llama.expert_count", 8)), HasSubstr("experts"));
  EXPECT_THAT(ErrorOf(SmallGguf().U32("llama.rope.dimension_count", 2)), HasSubstr("rope"));
  EXPECT_THAT(ErrorOf(SmallGguf().Text("llama.rope.scaling.type", "yarn")), HasSubstr("yarn"));
  EXPECT_THAT(ErrorOf(SmallGguf().Floats("blk.0.attn_k.weight", {6, 16}, Ramp(96, 0))),
              HasSubstr("no multiple of head_dim"));
}

TEST(GgufModel, ReadsLinearRopeScalingAndTheBase) {
  GgufBytes gguf = SmallGguf();
  gguf.Text("llama.rope.scaling.type", "linear").F32("llama.rope.scaling.factor", 2.0F);
  gguf.F32("llama.rope.freq_base", 500000.0F);
  const auto model = OpenBytes(gguf);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ((*model)->config().rope_linear_factor, 2.0);
  EXPECT_EQ((*model)->config().rope_theta, 500000.0);
}

TEST(GgufModel, RopeFactorsOfTheLlama3FormBecomeScaling) {
  // head_dim 4: pair 0 has wavelength 2 pi (kept), pair 1 2 pi sqrt(theta), beyond 8192 for theta
  // 1e8.
  const auto with_factors = [](const std::vector<float>& factors) {
    return OpenBytes(SmallGguf()
                         .F32("llama.rope.freq_base", 1e8F)
                         .Floats("rope_freqs.weight", {factors.size()}, factors));
  };
  const auto model = with_factors({1.0F, 32.0F});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->config().rope_llama3, (Llama3RopeScaling{32.0, 1.0, 4.0, 8192}));
  EXPECT_EQ((*model)->Find("rope_freqs.weight"), nullptr);
  EXPECT_FALSE((*with_factors({1.0F, 1.0F}))->config().rope_llama3.has_value());
  EXPECT_THAT(base::MessageOf(with_factors({2.0F, 32.0F}).status()), HasSubstr("llama3 form"));
  EXPECT_FALSE(with_factors({1.0F}).ok());
  EXPECT_FALSE(with_factors({1.0F, std::nanf("")}).ok());
}

TEST(GgufModel, RopeIsCheckedAsThatOfAConfigJson) {
  EXPECT_THAT(ErrorOf(SmallGguf().F32("llama.rope.freq_base", HUGE_VALF)),
              HasSubstr("rope_theta is inf"));
  EXPECT_THAT(ErrorOf(SmallGguf()
                          .Text("llama.rope.scaling.type", "linear")
                          .F32("llama.rope.scaling.factor", std::nanf(""))),
              HasSubstr("rope scaling factor"));
  EXPECT_THAT(ErrorOf(SmallGguf().Floats("rope_freqs.weight", {2}, {0.0F, 0.0F})),
              HasSubstr("llama3"));
}

TEST(GgufModel, AQwen2HasBiases) {
  GgufBytes gguf;
  gguf.Text("general.architecture", "qwen2");
  gguf.U32("qwen2.embedding_length", 16).U32("qwen2.feed_forward_length", 24);
  gguf.U32("qwen2.block_count", 2).U32("qwen2.context_length", 64);
  gguf.U32("qwen2.attention.head_count", 4);
  gguf.F32("qwen2.attention.layer_norm_rms_epsilon", 1e-5F);
  gguf.Floats("token_embd.weight", {10, 16}, Ramp(160, 0));
  EXPECT_THAT(ErrorOf(gguf), HasSubstr("combination of biases"));
  gguf.Floats("blk.0.attn_q.bias", {16}, Ramp(16, 0));
  EXPECT_TRUE(OpenBytes(gguf).ok());
}

TEST(GgufModel, FlippedBitsOfTheHeaderAreRejectedOrReadWithoutHarm) {
  GgufBytes gguf = SmallGguf();
  const testing::Bytes file = gguf.Finish();
  const std::size_t header_bytes = gguf.Header().size();
  for (std::size_t bit = 0; bit < 8 * header_bytes; ++bit) {
    testing::Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    auto opened = GgufFile::Open(SourceOf(flipped));
    if (!opened.ok()) continue;
    const auto model = GgufModel::Open(*std::move(opened));
    if (!model.ok()) continue;
    for (const TensorInfo& info : (*model)->tensors()) {
      const auto values = (*model)->ReadAll(info.name);
      if (!values.ok()) continue;
      EXPECT_EQ(static_cast<std::int64_t>(values->size()), info.elements());
    }
  }
}

}  // namespace
}  // namespace caldera::model
