#include "coordinator/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/sha256.h"
#include "common/store/memory_store.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

class Planner : public testing::Test {
 protected:
  absl::StatusOr<JobPlan> Plan() const { return PlanJob(spec_, store_); }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  void ExpectError(absl::StatusCode code, const std::string& culprit) const {
    const absl::Status status = Plan().status();
    EXPECT_EQ(status.code(), code) << base::MessageOf(status);
    EXPECT_THAT(base::MessageOf(status), testing::HasSubstr(culprit));
  }

  base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  v1::JobSpec spec_ = WriteTinyJob(directory_.path());
  store::MemoryStore store_{"planner"};
};

TEST_F(Planner, RecordsModelTextAndEstimates) {
  const absl::StatusOr<JobPlan> plan = Plan();
  ASSERT_TRUE(plan.ok()) << base::MessageOf(plan.status());
  EXPECT_EQ(plan->model.architecture(), "llama");
  EXPECT_EQ(plan->model.layers(), 2);
  // Embeddings 256 x 16 tied, final norm 16; per layer q, o 16 x 16, k, v 8 x 16, MLP 3 x 24 x 16,
  // two norms of 16.
  EXPECT_EQ(plan->model.parameters(), 4096 + 16 + 2 * (512 + 256 + 1152 + 32));
  EXPECT_EQ(plan->calibration_sha256, base::Sha256Hex(std::string(2000, 'a')));
  EXPECT_EQ(plan->calibration_tokens, 2000);
  EXPECT_EQ(plan->spec.decomposition().q_bits(), 2);
  EXPECT_GT(plan->store_bytes, plan->output_bytes);
}

TEST_F(Planner, ABudgetIsWhatTheTargetLeavesForMatrices) {
  spec_.mutable_decomposition()->clear_q_bits();
  spec_.mutable_decomposition()->set_target_bits(12);
  const absl::StatusOr<JobPlan> matrices = Plan();
  ASSERT_TRUE(matrices.ok()) << matrices.status();
  const int weights = 2 * (512 + 256 + 1152);
  EXPECT_EQ(matrices->matrix_budget_bytes, 12U * weights / 8);

  spec_.mutable_decomposition()->set_target_bits_include("embeddings");
  const absl::StatusOr<JobPlan> all = Plan();
  ASSERT_TRUE(all.ok()) << all.status();
  // 256 rows of 16 bytes and a scale; norms in float32.
  EXPECT_EQ(all->matrix_budget_bytes,
            12U * (4096 + 16 + weights + 64) / 8 - 256 * 18 - 4 * (16 + 2 * 32));
}

TEST_F(Planner, NamesATargetThatLeavesNoRoomForTwoBits) {
  spec_.mutable_decomposition()->clear_q_bits();
  spec_.mutable_decomposition()->set_target_bits(3);
  ExpectError(absl::StatusCode::kInvalidArgument, "leaves 1440 bytes for matrices, which take");
}

TEST_F(Planner, NamesAMissingModel) {
  spec_.set_model_uri(path("nothing"));
  ExpectError(absl::StatusCode::kNotFound, "nothing");
}

TEST_F(Planner, NamesAMissingTokenizer) {
  Must(base::RemoveTree(path("model/tokenizer.json")));
  ExpectError(absl::StatusCode::kNotFound, "tokenizer");
}

TEST_F(Planner, NamesAMissingTensor) {
  std::vector<model::SafetensorsTensor> tensors = RandomTensors(TinyConfig());
  std::erase_if(tensors, [](const model::SafetensorsTensor& tensor) {
    return tensor.declaration.name == "model.layers.1.mlp.up_proj.weight";
  });
  WriteBytes(path("model/model.safetensors"), Must(model::WriteSafetensors({}, tensors)));
  const absl::Status status = Plan().status();
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr("model.layers.1.mlp.up_proj.weight"));
}

TEST_F(Planner, NamesATruncatedModelFile) {
  std::string bytes = Must(base::ReadFile(path("model/model.safetensors")));
  bytes.resize(bytes.size() - 1);
  Must(base::WriteFile(path("model/model.safetensors"), bytes));
  ExpectError(absl::StatusCode::kInvalidArgument, "model.safetensors");
}

TEST_F(Planner, NamesATensorOfTheWrongShape) {
  std::vector<model::SafetensorsTensor> tensors = RandomTensors(TinyConfig());
  for (model::SafetensorsTensor& tensor : tensors) {
    if (tensor.declaration.name != "model.layers.0.self_attn.q_proj.weight") continue;
    tensor.declaration.shape = {8, 32};
  }
  WriteBytes(path("model/model.safetensors"), Must(model::WriteSafetensors({}, tensors)));
  ExpectError(absl::StatusCode::kInvalidArgument, "model.layers.0.self_attn.q_proj.weight");
}

TEST_F(Planner, NamesAnUnknownArchitecture) {
  Must(base::WriteFile(path("model/config.json"),
                       R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})"));
  ExpectError(absl::StatusCode::kUnimplemented, "GPT2LMHeadModel");
}

TEST_F(Planner, RefusesARankTooLargeForTheSmallestMatrix) {
  spec_.mutable_decomposition()->set_rank(8);
  ExpectError(absl::StatusCode::kInvalidArgument, "decomposition.rank");
}

TEST_F(Planner, RefusesATextThatIsTooShort) {
  Must(base::WriteFile(path("text.txt"), std::string(8 * 16 - 1, 'a')));
  ExpectError(absl::StatusCode::kInvalidArgument, "too short");
  Must(base::WriteFile(path("text.txt"), std::string(8 * 16, 'a')));
  EXPECT_TRUE(Plan().ok());
}

TEST_F(Planner, NamesAMissingText) {
  Must(base::RemoveTree(path("text.txt")));
  ExpectError(absl::StatusCode::kNotFound, "text.txt");
}

TEST_F(Planner, RefusesAnOutputThatHoldsACheckpoint) {
  Must(base::MakeDirectories(path("out")));
  Must(base::WriteFile(path("out/manifest.json"), "{}"));
  ExpectError(absl::StatusCode::kAlreadyExists, "/out");
}

TEST_F(Planner, RefusesAStoreThatIsTooSmall) {
  const store::MemoryStore small("small", 1000);
  const absl::Status status = PlanJob(spec_, small).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(base::MessageOf(status), testing::HasSubstr("memory://small"));
}

}  // namespace
}  // namespace caldera::coordinator
