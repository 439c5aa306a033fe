#include "common/model/size_estimate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/model/tokenizer_files.h"
#include "tests/common/model/test_files.h"

namespace caldera::model {
namespace {

using testing::HfFiles;
using testing::SmallConfig;

constexpr base::Bits kEight(8);
constexpr base::Bits kSixteen(16);

JobSettings Settings(double q_bits, int rank) {
  JobSettings settings;
  settings.decomposition.q_bits = q_bits;
  settings.decomposition.rank = rank;
  return WithDefaults(settings);
}

OpenedModel Open(const ModelConfig& config) { return OpenModel(HfFiles(config)).value(); }

TEST(SizeEstimate, CountsParametersOnce) {
  ModelConfig config = SmallConfig();
  config.tie_word_embeddings = false;
  const std::int64_t untied = ParameterCount(config);
  config.tie_word_embeddings = true;
  EXPECT_EQ(untied - ParameterCount(config), config.vocab_size * config.hidden_size);
  // Tables, final norm, two norms a layer.
  EXPECT_EQ(ParameterCount(config), config.vocab_size * config.hidden_size + config.hidden_size +
                                        config.num_hidden_layers * 2 * config.hidden_size +
                                        ProjectionWeights(config));
}

TEST(SizeEstimate, MatricesTakeWhatTheirHeadersSay) {
  const ModelConfig config = SmallConfig();
  std::uint64_t bytes = 0;
  for (int p = 0; p < kProjectionCount; ++p) {
    const MatrixShape shape = ShapeOf(config, static_cast<Projection>(p));
    // docs/formats/checkpoint.md at 2 bits without factors: codes, one scale, packed signs.
    ASSERT_TRUE(shape.rows % 8 == 0 && shape.columns % 8 == 0 && shape.rows <= 64);
    bytes += static_cast<std::uint64_t>(shape.rows * shape.columns / 4 + 4 +
                                        (shape.rows + shape.columns) / 8);
  }
  EXPECT_EQ(MatrixBytes(config, Settings(2, 0).decomposition),
            bytes * static_cast<std::uint64_t>(config.num_hidden_layers));
  EXPECT_GT(MatrixBytes(config, Settings(2.5, 0).decomposition),
            MatrixBytes(config, Settings(2, 0).decomposition));
  EXPECT_GT(MatrixBytes(config, Settings(2, 4).decomposition),
            MatrixBytes(config, Settings(2, 0).decomposition));
}

TEST(SizeEstimate, TablesAreCodedAndTheNormIsAsGiven) {
  ModelConfig config = SmallConfig();
  const auto rows = static_cast<std::uint64_t>(config.vocab_size);
  const auto columns = static_cast<std::uint64_t>(config.hidden_size);
  for (const std::uint64_t tables : {1, 2}) {
    config.tie_word_embeddings = tables == 1;
    const OpenedModel model = Open(config);  // float32
    EXPECT_EQ(NonLayerBytes(*model.tensors, config, kEight),
              tables * rows * (columns + 2) + 4 * columns);
    EXPECT_EQ(NonLayerBytes(*model.tensors, config, kSixteen),
              tables * rows * 2 * columns + 4 * columns);
    EXPECT_EQ(NonLayerBytes(*model.tensors, config, base::Bits{4}),
              tables * (rows * ((columns + 1) / 2 + 2 * ((columns + 31) / 32)) + 2 * columns) +
                  4 * columns);
  }
}

TEST(SizeEstimate, ATargetBecomesTheMostBitsThatFitEverywhere) {
  const ModelConfig config = SmallConfig();
  const OpenedModel model = Open(config);
  for (const char* include : {"", kIncludeEmbeddings}) {
    JobSettings settings = Settings(0, 0);
    settings.decomposition.target_bits = 6;
    settings.decomposition.target_bits_include = include;
    const std::uint64_t budget = MatrixBudget(model, settings).value();
    const JobSettings same = WithSameBits(model, settings).value();
    const double q_bits = same.decomposition.q_bits;
    EXPECT_EQ(same.decomposition.target_bits, 0);
    ASSERT_GE(q_bits, 2);
    EXPECT_EQ(std::floor(16 * q_bits), 16 * q_bits);
    DecompositionSettings more = same.decomposition;
    EXPECT_LE(MatrixBytes(config, more), budget);
    if (q_bits == 4) continue;
    more.q_bits += 1.0 / 16;
    EXPECT_GT(MatrixBytes(config, more), budget);
  }
}

TEST(SizeEstimate, AddsUpTheCheckpoint) {
  const ModelConfig config = SmallConfig();
  const OpenedModel model = Open(config);
  const JobSettings settings = Settings(3, 4);

  const CheckpointSizes sizes = EstimateSizes(model, settings).value();

  EXPECT_EQ(sizes.matrix_bytes, MatrixBytes(config, settings.decomposition));
  EXPECT_EQ(sizes.embedding_bytes, NonLayerBytes(*model.tensors, config, kEight));
  std::uint64_t others = 0;  // norms and biases, as given
  for (const ExpectedTensor& tensor : OtherLayerTensors(config, 0)) {
    others += 4 * static_cast<std::uint64_t>(tensor.shape.front() * config.num_hidden_layers);
  }
  EXPECT_EQ(sizes.tensor_bytes, sizes.matrix_bytes + sizes.embedding_bytes + others);
  EXPECT_DOUBLE_EQ(sizes.bits_per_weight, 8 * static_cast<double>(sizes.matrix_bytes) /
                                              static_cast<double>(ProjectionWeights(config)));
  EXPECT_DOUBLE_EQ(sizes.model_bits_per_weight, 8 * static_cast<double>(sizes.tensor_bytes) /
                                                    static_cast<double>(ParameterCount(config)));
  EXPECT_GT(sizes.output_bytes, sizes.tensor_bytes);
}

TEST(SizeEstimate, HessiansAreTrianglesForEveryRange) {
  ModelConfig config = SmallConfig();
  EXPECT_EQ(HessianBytes(config, 3), 3 * HessianBytes(config, 1));
  config.num_hidden_layers *= 2;
  EXPECT_EQ(HessianBytes(config, 1), 2 * HessianBytes(SmallConfig(), 1));
}

TEST(TokenizerFiles, AreCopiedByNameAndCountedUnread) {
  const auto files = HfFiles(SmallConfig());
  files->Put("tokenizer.json", std::string(100, 'x'));
  files->Put("merges.txt", "ab");
  files->Put("README.md", "no part of it");
  const OpenedModel model = OpenModel(files).value();

  const auto copied = TokenizerFiles(model).value();

  EXPECT_EQ(copied.at("merges.txt"), "ab");
  EXPECT_EQ(copied.count("README.md"), 0U);
  std::uint64_t bytes = 0;
  for (const auto& [name, text] : copied) bytes += text.size();
  EXPECT_EQ(TokenizerFileBytes(model).value(), bytes);
}

}  // namespace
}  // namespace caldera::model
