#include "client/export_dense.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/status.h"
#include "common/model/hf_model.h"
#include "common/model/model_directory.h"
#include "common/store/manifest.h"
#include "numerics/llama/compressed_source.h"
#include "tests/coordinator/tiny_model.h"
#include "tests/support/random_compressed_matrix.h"

namespace caldera::client {
namespace {

using coordinator::Must;
using testing::HasSubstr;

constexpr char kMatrix[] = "model.layers.0.self_attn.q_proj";

class ExportDenseTest : public testing::Test {
 protected:
  ExportDenseTest() { coordinator::WriteTinyJob(directory_.path()); }

  std::string model() const { return directory_.path() + "/model"; }
  std::string output() const { return directory_.path() + "/dense"; }
  std::string ReadOutput(const std::string& file) const {
    return Must(base::ReadFile(output() + "/" + file));
  }
  absl::Status Export(model::Dtype dtype) {
    return ExportDense(model(), output(), {.dtype = dtype});
  }
  // Turns the model into a checkpoint with one compressed matrix.
  void CompressOneMatrix() {
    const model::CompressedMatrixHeader header = coordinator::TinyHeader(0);
    const model::CompressedMatrix matrix = test_support::RandomCompressedMatrix(header, 3);
    std::vector<model::SafetensorsTensor> tensors =
        coordinator::RandomTensors(coordinator::TinyConfig());
    const std::string weight = fmt::format("{}.weight", kMatrix);
    std::erase_if(tensors, [&weight](const model::SafetensorsTensor& tensor) {
      return tensor.declaration.name == weight;
    });
    for (auto& tensor : Must(model::EncodeMatrix(matrix, kMatrix))) tensors.push_back(tensor);
    const std::string described = model::MatrixHeaderToJson(matrix.header);
    coordinator::WriteBytes(model() + "/model.safetensors",
                            Must(model::WriteSafetensors({{kMatrix, described}}, tensors)));
    auto config = nlohmann::json::parse(model::ModelConfigToJson(coordinator::TinyConfig()));
    config["quantization_config"] = {{"quant_method", llama::kCalderaMethod}};
    Must(base::WriteFile(model() + "/config.json", config.dump()));
  }
  // All tensors of the exported model are `round` of those of the source.
  template <typename Round>
  void ExpectSameModel(Round round) const {
    const model::OpenedModel source = Must(llama::OpenAnyModel(model()));
    const model::OpenedModel dense = Must(model::OpenModel(output()));
    EXPECT_EQ(dense.config, source.config);
    EXPECT_TRUE(dense.quantization_method.empty());
    EXPECT_TRUE(model::ValidateModelTensors(dense).ok());
    ASSERT_EQ(dense.tensors->tensors().size(), source.tensors->tensors().size());
    for (const model::TensorInfo& tensor : source.tensors->tensors()) {
      std::vector<float> expected = Must(source.tensors->ReadAll(tensor.name));
      for (float& value : expected) value = round(value);
      EXPECT_EQ(Must(dense.tensors->ReadAll(tensor.name)), expected) << tensor.name;
      EXPECT_EQ(dense.tensors->Find(tensor.name)->shape, tensor.shape);
    }
  }

  const base::TempDirectory directory_ = Must(base::TempDirectory::Create());
};

float Exact(float value) { return value; }

TEST_F(ExportDenseTest, KeepsEveryValueInFloat32) {
  const absl::Status status = Export(model::Dtype::kF32);

  ASSERT_TRUE(status.ok()) << status;
  ExpectSameModel(Exact);
  EXPECT_EQ(nlohmann::json::parse(ReadOutput("config.json"))["torch_dtype"], "float32");
  EXPECT_EQ(ReadOutput("tokenizer.json"), coordinator::TinyTokenizerJson());
  EXPECT_FALSE(base::Exists(output() + "/model.safetensors.index.json"));
}

TEST_F(ExportDenseTest, RoundsEveryValueToTheNarrowTypes) {
  ASSERT_TRUE(Export(model::Dtype::kBF16).ok());
  ExpectSameModel(
      [](float value) { return model::BFloat16ToFloat(model::FloatToBFloat16(value)); });
  EXPECT_EQ(nlohmann::json::parse(ReadOutput("config.json"))["torch_dtype"], "bfloat16");

  std::filesystem::remove_all(output());
  ASSERT_TRUE(Export(model::Dtype::kF16).ok());
  ExpectSameModel([](float value) { return model::HalfToFloat(model::FloatToHalf(value)); });
  EXPECT_EQ(nlohmann::json::parse(ReadOutput("config.json"))["torch_dtype"], "float16");
}

TEST_F(ExportDenseTest, CutsShardsBelowTheLimitUnlessATensorAloneIsLarger) {
  constexpr std::int64_t kLimit = 4000;
  ASSERT_TRUE(ExportDense(model(), output(), {model::Dtype::kF32, kLimit}).ok());

  ExpectSameModel(Exact);
  const auto index = nlohmann::json::parse(ReadOutput("model.safetensors.index.json"));
  const model::OpenedModel dense = Must(model::OpenModel(output()));
  std::map<std::string, std::vector<std::int64_t>> shards;
  std::int64_t total = 0;
  for (const model::TensorInfo& tensor : dense.tensors->tensors()) {
    shards[index["weight_map"][tensor.name]].push_back(static_cast<std::int64_t>(tensor.bytes));
    total += static_cast<std::int64_t>(tensor.bytes);
  }
  EXPECT_GT(shards.size(), 2U);
  EXPECT_EQ(index["metadata"]["total_size"], total);
  for (const auto& [file, sizes] : shards) {
    std::int64_t sum = 0;
    for (const std::int64_t size : sizes) sum += size;
    EXPECT_TRUE(sum <= kLimit || sizes.size() == 1) << file << " " << sum;
    EXPECT_THAT(file, HasSubstr("-of-0000"));
  }
}

TEST_F(ExportDenseTest, DecodesTheMatricesOfACheckpoint) {
  CompressOneMatrix();
  Must(base::WriteFile(model() + "/" + store::kManifestFile, "{}"));
  Must(base::WriteFile(model() + "/" + store::kRunFile, "{}"));

  const absl::Status status = Export(model::Dtype::kF32);

  ASSERT_TRUE(status.ok()) << status;
  ExpectSameModel(Exact);
  EXPECT_FALSE(nlohmann::json::parse(ReadOutput("config.json")).contains("quantization_config"));
  EXPECT_FALSE(base::Exists(output() + "/" + store::kManifestFile));
  EXPECT_FALSE(base::Exists(output() + "/" + store::kRunFile));
}

TEST_F(ExportDenseTest, FillsAnEmptyDirectory) {
  Must(base::MakeDirectories(output()));

  EXPECT_TRUE(Export(model::Dtype::kF32).ok());
}

TEST_F(ExportDenseTest, LeavesADirectoryWithFilesAlone) {
  Must(base::MakeDirectories(output()));
  Must(base::WriteFile(output() + "/mine.txt", "mine"));

  const absl::Status status = Export(model::Dtype::kF32);

  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(output()));
  EXPECT_EQ(ReadOutput("mine.txt"), "mine");
  EXPECT_FALSE(base::Exists(output() + "/config.json"));
}

TEST_F(ExportDenseTest, NamesAModelThatIsNotThere) {
  const std::string nowhere = directory_.path() + "/nowhere";

  const absl::Status status = ExportDense(nowhere, output(), {});

  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr(nowhere));
  EXPECT_FALSE(base::Exists(output()));
}

TEST_F(ExportDenseTest, NamesAFileThatCannotBeRead) {
  ASSERT_TRUE(base::WriteFile(model() + "/model.safetensors", "short").ok());

  const absl::Status status = Export(model::Dtype::kF32);

  EXPECT_FALSE(status.ok());
  EXPECT_THAT(base::MessageOf(status), HasSubstr("model.safetensors"));
}

}  // namespace
}  // namespace caldera::client
