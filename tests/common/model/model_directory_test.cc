#include "common/model/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/model/hf_model.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::BytesOf;
using ::testing::HasSubstr;
using testing::HfFiles;
using testing::Ramp;
using testing::SmallConfig;
using testing::TensorsOf;

constexpr char kIndex[] = "model.safetensors.index.json";

// The small model in two shards: "one" holds the first `split` tensors.
std::shared_ptr<MemoryFileSet> ShardedFiles(std::size_t split) {
  auto files = std::make_shared<MemoryFileSet>("hf");
  files->Put("config.json", ModelConfigToJson(SmallConfig()));
  std::vector<SafetensorsTensor> first = TensorsOf(SmallConfig());
  std::vector<SafetensorsTensor> second;
  std::string map;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (i >= split) second.push_back(first[i]);
    map += (i == 0 ? "" : ", ") + ("\"" + first[i].declaration.name + "\": ") +
           (i < split ? "\"one.safetensors\"" : "\"two.safetensors\"");
  }
  first.resize(split);
  files->Put("one.safetensors", *WriteSafetensors({}, first));
  files->Put("two.safetensors", *WriteSafetensors({}, second));
  files->Put(kIndex, "{\"metadata\": {}, \"weight_map\": {" + map + "}}");
  return files;
}

std::string ErrorOf(const std::shared_ptr<MemoryFileSet>& files) {
  return base::MessageOf(OpenModel(files).status());
}

TEST(ModelDirectory, OpensAHuggingFaceDirectory) {
  const auto model = OpenModel(HfFiles(SmallConfig()));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->format, ModelFormat::kHuggingFace);
  EXPECT_EQ(model->config, SmallConfig());
  EXPECT_TRUE(ValidateModelTensors(*model).ok());
  EXPECT_EQ(*model->tensors->ReadAll("model.embed_tokens.weight"), Ramp(160, 0));
  EXPECT_EQ(model->fingerprint_sha256.size(), 64U);
  EXPECT_EQ(model->quantization_method, "");
}

TEST(ModelDirectory, ShardsGiveTheSameTensorsAsOneFile) {
  const auto whole = OpenModel(HfFiles(SmallConfig()));
  const auto sharded = OpenModel(ShardedFiles(5));
  ASSERT_TRUE(sharded.ok()) << sharded.status();
  EXPECT_TRUE(ValidateModelTensors(*sharded).ok());
  ASSERT_EQ(whole->tensors->tensors().size(), sharded->tensors->tensors().size());
  for (const TensorInfo& info : whole->tensors->tensors()) {
    EXPECT_EQ(*whole->tensors->ReadAll(info.name), *sharded->tensors->ReadAll(info.name));
    EXPECT_EQ(*whole->tensors->ReadRaw(info.name), *sharded->tensors->ReadRaw(info.name));
  }
  EXPECT_EQ(whole->bfloat16_bytes, sharded->bfloat16_bytes);
}

TEST(ModelDirectory, OpensTheOnlyGguf) {
  auto files = std::make_shared<MemoryFileSet>("set");
  auto gguf = testing::SmallGgufMetadata().Floats("token_embd.weight", {10, 16}, Ramp(160, 0));
  files->Put("m.gguf", gguf.Finish());
  const auto model = OpenModel(files);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->format, ModelFormat::kGguf);
  EXPECT_NE(model->gguf, nullptr);
  EXPECT_EQ(model->source_bytes, gguf.Finish().size());
  EXPECT_EQ(model->bfloat16_bytes, 320U);
  EXPECT_THAT(base::MessageOf(ValidateModelTensors(*model)),
              HasSubstr("model.norm.weight is missing"));
  files->Put("n.gguf", gguf.Finish());
  EXPECT_THAT(ErrorOf(files), HasSubstr("2 .gguf files"));
}

TEST(ModelDirectory, SaysWhenThereIsNoModel) {
  EXPECT_THAT(ErrorOf(std::make_shared<MemoryFileSet>("set")), HasSubstr("set: no model"));
  auto files = std::make_shared<MemoryFileSet>("set");
  files->Put("config.json", ModelConfigToJson(SmallConfig()));
  EXPECT_THAT(ErrorOf(files), HasSubstr("neither model.safetensors nor"));
}

TEST(ModelDirectory, ValidateNamesWrongShapesAndDtypes) {
  auto files = HfFiles(SmallConfig());
  auto tensors = TensorsOf(SmallConfig());
  tensors[1].declaration.shape = {4, 4};
  files->Put("model.safetensors", *WriteSafetensors({}, tensors));
  EXPECT_THAT(base::MessageOf(ValidateModelTensors(*OpenModel(files))),
              HasSubstr("model.norm.weight has shape [4, 4], expected [16]"));
  tensors = TensorsOf(SmallConfig());
  tensors[1].declaration.dtype = Dtype::kI32;
  files->Put("model.safetensors", *WriteSafetensors({}, tensors));
  EXPECT_THAT(base::MessageOf(ValidateModelTensors(*OpenModel(files))),
              HasSubstr("model.norm.weight has dtype I32"));
}

TEST(ModelDirectory, ValidateRefusesWeightsOfAnotherMethod) {
  auto files = HfFiles(SmallConfig());
  std::string config = ModelConfigToJson(SmallConfig());
  config.replace(0, 1, R"({"quantization_config": {"quant_method": "gptq"}, )");
  files->Put("config.json", config);
  const auto model = OpenModel(files);
  EXPECT_EQ(model->quantization_method, "gptq");
  EXPECT_EQ(ValidateModelTensors(*model).code(), absl::StatusCode::kUnimplemented);
}

TEST(ModelDirectory, IgnoresRotaryBuffers) {
  auto files = HfFiles(SmallConfig());
  auto tensors = TensorsOf(SmallConfig());
  tensors.push_back(
      {{"model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::kF32, {2}}, BytesOf(Ramp(2, 0))});
  files->Put("model.safetensors", *WriteSafetensors({}, tensors));
  EXPECT_EQ(OpenModel(files)->tensors->tensors().size(), tensors.size() - 1);
}

TEST(ModelDirectory, IndexAndShardsMustAgree) {
  auto files = ShardedFiles(5);
  files->Put("one.safetensors", *WriteSafetensors({}, {}));
  EXPECT_THAT(ErrorOf(files), HasSubstr("is not in one.safetensors"));
  files = ShardedFiles(5);
  files->Put("one.safetensors", *WriteSafetensors({}, TensorsOf(SmallConfig())));
  EXPECT_THAT(ErrorOf(files), HasSubstr("is both in"));
  files = ShardedFiles(5);
  files->Put(kIndex, R"({"weight_map": {"model.norm.weight": "three.safetensors"}})");
  EXPECT_THAT(ErrorOf(files), HasSubstr("three.safetensors"));
  files->Put(kIndex, R"({"weight_map": {"model.norm.weight": "one.safetensors"}})");
  EXPECT_THAT(ErrorOf(files), HasSubstr("is not listed"));
  files->Put(kIndex, R"({"weight_map": {"a": "../x.safetensors"}})");
  EXPECT_THAT(ErrorOf(files), HasSubstr("tensor a"));
}

TEST(ModelDirectory, IndexSurvivesTruncationAndFlippedBits) {
  const std::string json = R"({"metadata": {}, "weight_map": {"a": "x", "b": "y"}})";
  for (std::size_t length = 0; length < json.size(); ++length) {
    EXPECT_FALSE(ParseSafetensorsIndex(json.substr(0, length), "index").ok()) << length;
  }
  for (std::size_t bit = 0; bit < 8 * json.size(); ++bit) {
    std::string flipped = json;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto map = ParseSafetensorsIndex(flipped, "index");
    EXPECT_TRUE(!map.ok() || map->size() == 2U) << bit;
  }
}

TEST(ModelDirectory, FingerprintTellsModelsApart) {
  const std::string original = OpenModel(HfFiles(SmallConfig()))->fingerprint_sha256;
  EXPECT_EQ(OpenModel(HfFiles(SmallConfig()))->fingerprint_sha256, original);
  ModelConfig other = SmallConfig();
  other.rope_theta = 20000.0;
  EXPECT_NE(OpenModel(HfFiles(other))->fingerprint_sha256, original);
  auto files = HfFiles(SmallConfig());
  auto tensors = TensorsOf(SmallConfig());
  tensors[0].bytes[0] ^= std::byte{1};
  files->Put("model.safetensors", *WriteSafetensors({{"format", "pt"}}, tensors));
  EXPECT_NE(OpenModel(files)->fingerprint_sha256, original);
  files = HfFiles(SmallConfig());
  files->Put("tokenizer.json", "{}");
  EXPECT_NE(OpenModel(files)->fingerprint_sha256, original);
  files = HfFiles(SmallConfig());
  files->Put("README.md", "no matter");
  EXPECT_EQ(OpenModel(files)->fingerprint_sha256, original);
}

TEST(ModelTensors, ListsBiasesOnlyWhereTheyAre) {
  ModelConfig config = SmallConfig();
  EXPECT_EQ(OtherLayerTensors(config, 0).size(), 2U);
  config.attention_bias = true;
  const auto tensors = OtherLayerTensors(config, 1);
  ASSERT_EQ(tensors.size(), 5U);
  EXPECT_EQ(tensors[3].name, "model.layers.1.self_attn.k_proj.bias");
  EXPECT_EQ(tensors[3].shape, std::vector<std::int64_t>{8});
  config.tie_word_embeddings = true;
  EXPECT_EQ(NonLayerTensors(config).size(), 2U);
}

}  // namespace
}  // namespace caldera::model
