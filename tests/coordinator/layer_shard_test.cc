#include "coordinator/layer_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/store/memory_store.h"
#include "coordinator/error_details.h"
#include "coordinator/object_source.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

class LayerShard : public testing::Test {
 protected:
  LayerShard() {
    WriteTinyJob(directory_.path());
    model_ = Must(model::OpenModel(directory_.path() + "/model"));
    inputs_.layer = 1;
    inputs_.model = &model_;
    inputs_.label = "label";
    for (int p = 0; p < model::kProjectionCount; ++p) {
      const v1::ObjectRef object =
          StoreBytes(MatrixObject(1, p, static_cast<unsigned>(p)), &store_);
      inputs_.matrices.push_back(TinyMatrix(1, p, object));
    }
  }
  absl::Status Check(const v1::MatrixResult& matrix) const {
    v1::Decomposition decomposition;
    decomposition.set_rank(4);
    decomposition.set_q_bits(2);
    const model::ModelConfig config = TinyConfig();
    return CheckMatrixObject(matrix, {1, &config, decomposition}, store_);
  }
  std::string BadMatrix(const v1::MatrixResult& matrix) const {
    const absl::Status status = Check(matrix);
    EXPECT_FALSE(status.ok());
    return base::MessageOf(status);
  }

  base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  store::MemoryStore store_{"shard"};
  model::OpenedModel model_;
  LayerShardInputs inputs_;
};

TEST_F(LayerShard, HoldsTheMatricesAndTheOtherTensorsOfTheLayerAsGiven) {
  const store::ObjectInfo shard = Must(AssembleLayerShard(inputs_, &store_));
  const auto file = Must(OpenSafetensorsObject(&store_, shard.sha256));
  const std::size_t per_matrix = model::MatrixTensors(TinyHeader(0), "p").size();
  EXPECT_EQ(file->tensors().size(), 7 * per_matrix + 2);
  EXPECT_EQ(model::MatrixPrefixes(file->metadata()).size(), 7U);
  const std::string norm = model::InputNormName(1);
  EXPECT_EQ(Must(file->ReadAll(norm)), Must(model_.tensors->ReadAll(norm)));
  const auto object = Must(OpenSafetensorsObject(&store_, inputs_.matrices[0].object().sha256()));
  const std::string codes = "model.layers.1.self_attn.q_proj.q_codes";
  EXPECT_EQ(Must(file->ReadRaw(codes)), Must(object->ReadRaw(codes)));
}

TEST_F(LayerShard, IsTheSameForTheSameInputs) {
  const store::ObjectInfo first = Must(AssembleLayerShard(inputs_, &store_));
  inputs_.label = "another-attempt";
  std::reverse(inputs_.matrices.begin(), inputs_.matrices.end());
  EXPECT_EQ(Must(AssembleLayerShard(inputs_, &store_)), first);
}

TEST_F(LayerShard, NamesAMatrixThatIsGone) {
  Must(store_.RemoveObject(inputs_.matrices[3].object().sha256()));
  EXPECT_EQ(AssembleLayerShard(inputs_, &store_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LayerShard, SaysWhenTheStoreIsFull) {
  store::MemoryStore full("full", 12000);
  for (int p = 0; p < model::kProjectionCount; ++p) {
    StoreBytes(MatrixObject(1, p, static_cast<unsigned>(p)), &full);
  }
  const absl::Status fill = [&full] {
    const auto writer = Must(full.Stage("fill"));
    const std::uint64_t rest = Must(full.FreeBytes());
    CALDERA_RETURN_IF_ERROR(writer->Append(std::vector<std::byte>(rest - 100)));
    return writer->Commit().status();
  }();
  Must(fill);
  EXPECT_EQ(AssembleLayerShard(inputs_, &full).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(LayerShard, AcceptsAMatrixThatIsWhatItSays) { EXPECT_TRUE(Check(inputs_.matrices[2]).ok()); }

TEST_F(LayerShard, RefusesMatricesThatAreNotWhatTheySay) {
  const v1::MatrixResult good = inputs_.matrices[2];
  v1::MatrixResult bad = good;
  bad.set_rows(99);
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("99 x 16"));
  bad = good;
  bad.set_relative_error(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("relative_error"));
  bad = good;
  bad.mutable_object()->set_size(1);
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("not 1"));
  bad = good;
  bad.set_rank(5);
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("rank 4"));
  bad = good;
  *bad.mutable_object() = inputs_.matrices[1].object();  // k has the shape of v
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("no header of model.layers.1.self_attn.v_proj"));
  bad = good;
  *bad.mutable_object() = StoreBytes(std::vector<std::byte>(40), &store_);
  EXPECT_FALSE(Check(bad).ok());
  bad.set_projection("self_attn.z_proj");
  EXPECT_THAT(BadMatrix(bad), testing::HasSubstr("no projection"));
}

TEST_F(LayerShard, EveryTruncationOfAMatrixObjectIsRefused) {
  const std::vector<std::byte> whole = MatrixObject(1, 1, 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const v1::ObjectRef object =
        StoreBytes({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, &store_);
    EXPECT_FALSE(Check(TinyMatrix(1, 1, object)).ok()) << size;
  }
}

}  // namespace
}  // namespace caldera::coordinator
