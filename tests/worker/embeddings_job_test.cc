#include "worker/embeddings_job.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/model/embedding_code.h"
#include "common/model/embedding_table.h"
#include "common/model/safetensors.h"
#include "tests/worker/job_fixture.h"

namespace caldera::worker {
namespace {

model::ModelConfig Untied() {
  model::ModelConfig config = SmallConfig();
  config.num_hidden_layers = 1;
  config.tie_word_embeddings = false;
  return config;
}

// Runs the task over a model whose head is its own, and opens what it stored.
class EmbeddingsJobTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<model::SafetensorsFile>> Run(int bits) {
    v1::Lease lease = fixture_.MakeLease();
    lease.mutable_spec()->set_embedding_bits(bits);
    v1::ObjectRef object;
    const auto statuses = fixture_.Run(lease, 1, [&](TaskContext& context) {
      CALDERA_ASSIGN_OR_RETURN(object, RunEmbeddings(lease, *context.leader));
      return absl::OkStatus();
    });
    CALDERA_RETURN_IF_ERROR(statuses.front());
    std::vector<std::byte> bytes(static_cast<std::size_t>(object.size()));
    CALDERA_RETURN_IF_ERROR(fixture_.store().ReadObject(object.sha256(), 0, bytes));
    return model::SafetensorsFile::Open(
        std::make_unique<model::MemoryByteSource>("shard", std::move(bytes)));
  }
  std::vector<float> Original(const std::string& tensor) {
    return Must(Must(model::OpenModel(fixture_.model_path())).tensors->ReadAll(tensor));
  }
  // |stored - original| <= half a step of the row (and one rounding of the product in float32).
  void ExpectWithinHalfAStep(const model::SafetensorsFile& shard, const std::string& stem) {
    const auto raw_codes = Must(shard.ReadRaw(stem + ".codes"));
    const auto raw_scales = Must(shard.ReadRaw(stem + ".scale"));
    std::vector<std::int8_t> codes(raw_codes.size());
    std::memcpy(codes.data(), raw_codes.data(), raw_codes.size());
    std::vector<std::uint16_t> scales(raw_scales.size() / 2);
    std::memcpy(scales.data(), raw_scales.data(), raw_scales.size());
    const std::vector<float> original = Original(stem + ".weight");
    const std::size_t columns = codes.size() / scales.size();
    std::vector<float> decoded(codes.size());
    Must(model::DecodeEmbedding(codes, scales, static_cast<std::int64_t>(columns), decoded));
    ASSERT_EQ(decoded.size(), original.size());
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const float half_step = model::HalfToFloat(scales[i / columns]) / 2;
      ASSERT_LE(std::fabs(decoded[i] - original[i]), half_step * (1 + 0x1p-15F))
          << stem << " " << i;
    }
  }

  JobFixture fixture_{Untied()};
};

TEST_F(EmbeddingsJobTest, CodesBothTablesAtEightBitsAndKeepsTheNorm) {
  const auto shard = Run(8);

  ASSERT_TRUE(shard.ok()) << shard.status();
  std::vector<std::string> names;
  for (const auto& tensor : (*shard)->tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"lm_head.codes", "lm_head.scale", "model.embed_tokens.codes",
                                      "model.embed_tokens.scale", "model.norm.weight"}));
  EXPECT_EQ((*shard)->metadata().at("format"), "pt");
  ExpectWithinHalfAStep(**shard, "model.embed_tokens");
  ExpectWithinHalfAStep(**shard, "lm_head");
  EXPECT_EQ(Must((*shard)->ReadAll("model.norm.weight")), Original("model.norm.weight"));
}

TEST_F(EmbeddingsJobTest, NarrowsBothTablesToBFloat16AtSixteenBits) {
  const auto shard = Run(16);

  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ((*shard)->tensors().size(), 3U);
  for (const std::string name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    ASSERT_NE((*shard)->Find(name), nullptr);
    EXPECT_EQ((*shard)->Find(name)->dtype, model::Dtype::kBF16);
    std::vector<float> rounded = Original(name);
    for (float& value : rounded) value = model::BFloat16ToFloat(model::FloatToBFloat16(value));
    EXPECT_EQ(Must((*shard)->ReadAll(name)), rounded);
  }
  EXPECT_EQ((*shard)->Find("model.norm.weight")->dtype, model::Dtype::kF32);
  EXPECT_EQ(Must((*shard)->ReadAll("model.norm.weight")), Original("model.norm.weight"));
}

TEST_F(EmbeddingsJobTest, CodesBothTablesAtFourBits) {
  const auto shard = Run(4);

  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ((*shard)->tensors().size(), 7U);
  EXPECT_EQ((*shard)->metadata().at("format"), "pt");
  for (const std::string stem : {"model.embed_tokens", "lm_head"}) {
    const auto header = Must(model::ParseEmbeddingHeader((*shard)->metadata().at(stem), stem));
    const auto table = Must(model::EmbeddingTable::Read(**shard, stem, header));
    const std::vector<float> original = Original(stem + ".weight");
    std::vector<float> decoded(original.size());
    Must(table.DecodeRows(0, decoded));
    double error = 0;
    double power = 0;
    for (std::size_t i = 0; i < original.size(); ++i) {
      error += std::pow(double{decoded[i]} - original[i], 2);
      power += std::pow(double{original[i]}, 2);
    }
    EXPECT_LT(error, 0.01 * power) << stem;
  }
  EXPECT_EQ(Must((*shard)->ReadAll("model.norm.weight")), Original("model.norm.weight"));
}

TEST_F(EmbeddingsJobTest, StoresTheBytesThatPlansCount) {
  for (const int bits : {4, 8, 16}) {
    const auto shard = Run(bits);
    ASSERT_TRUE(shard.ok()) << shard.status();
    std::uint64_t bytes = 0;
    for (const auto& tensor : (*shard)->tensors()) bytes += tensor.bytes;
    const std::uint64_t norm = 4 * 72;
    EXPECT_EQ(bytes, model::EmbeddingBytes(Untied(), base::Bits{bits}) + norm) << bits;
  }
}

TEST_F(EmbeddingsJobTest, WritesTheSameBytesEachTime) {
  for (const int bits : {4, 8}) {
    const auto first = Run(bits);
    const auto second = Run(bits);

    ASSERT_TRUE(first.ok() && second.ok());
    for (const auto& tensor : (*first)->tensors()) {
      EXPECT_EQ(Must((*first)->ReadRaw(tensor.name)), Must((*second)->ReadRaw(tensor.name)));
    }
  }
}

TEST_F(EmbeddingsJobTest, StopsWhenTheLeaseIsCancelled) {
  fixture_.dispatch().Direct(v1::HeartbeatResponse::CANCEL);
  const v1::Lease lease = fixture_.MakeLease();
  const auto statuses = fixture_.Run(lease, 1, [&](TaskContext& context) {
    while (context.leader->keeper.StopReason().ok()) absl::SleepFor(absl::Milliseconds(1));
    return RunEmbeddings(lease, *context.leader).status();
  });

  EXPECT_TRUE(absl::IsCancelled(statuses.front())) << statuses.front();
}

}  // namespace
}  // namespace caldera::worker
