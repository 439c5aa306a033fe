#include "common/model/job_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caldera::model {
namespace {

std::vector<std::string> FieldsOf(const std::vector<SettingViolation>& violations) {
  std::vector<std::string> fields;
  for (const SettingViolation& violation : violations) fields.push_back(violation.field);
  return fields;
}

JobSettings Good() { return WithDefaults({}); }

TEST(JobSettings, ZerosAreDefaults) {
  const JobSettings settings = Good();
  EXPECT_EQ(settings.samples, 128);
  EXPECT_EQ(settings.seq_len, 512);
  EXPECT_EQ(settings.ranges, 4);
  EXPECT_EQ(settings.decomposition.recipe, "default");
  EXPECT_EQ(settings.decomposition.codebook, "trellis-10");
  EXPECT_EQ(settings.decomposition.q_bits, 2);
  EXPECT_EQ(settings.decomposition.rank, 0);
  EXPECT_EQ(settings.decomposition.l_bits, 4);
  EXPECT_EQ(settings.decomposition.r_bits, 4);
  EXPECT_EQ(settings.embedding_bits, 8);
  EXPECT_TRUE(CheckSettings(settings).empty());
}

TEST(JobSettings, NamesEveryFieldThatIsWrong) {
  JobSettings settings;
  settings.samples = -1;
  settings.seq_len = 1;
  settings.ranges = 5000;
  settings.decomposition = {"abc", "e9", 5, -1, 3, 5, -1, 0, ""};
  settings.embedding_bits = 7;
  EXPECT_THAT(FieldsOf(CheckSettings(WithDefaults(settings))),
              testing::IsSupersetOf(
                  {"calibration.samples", "calibration.seq_len", "calibration.ranges",
                   "decomposition.recipe", "decomposition.codebook", "decomposition.q_bits",
                   "decomposition.rank", "decomposition.l_bits", "decomposition.r_bits",
                   "decomposition.iterations", "embedding_bits"}));
}

TEST(JobSettings, ThePublishedRecipeIsE8pWithWholeBits) {
  JobSettings settings;
  settings.decomposition.recipe = "published";
  EXPECT_TRUE(CheckSettings(WithDefaults(settings)).empty());
  settings.decomposition.q_bits = 2.5;
  EXPECT_THAT(FieldsOf(CheckSettings(WithDefaults(settings))),
              testing::ElementsAre("decomposition.recipe"));
}

TEST(JobSettings, TheRankFitsEveryMatrix) {
  ModelConfig config;
  config.hidden_size = config.intermediate_size = 16;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 8;
  JobSettings settings = Good();
  settings.decomposition.rank = 7;
  EXPECT_TRUE(CheckSettingsAgainstModel(settings, config).empty());
  settings.decomposition.rank = 8;
  const auto violations = CheckSettingsAgainstModel(settings, config);
  ASSERT_EQ(FieldsOf(violations), std::vector<std::string>{"decomposition.rank"});
  EXPECT_THAT(violations[0].description, testing::HasSubstr("self_attn.k_proj"));
}

TEST(JobSettings, MakeTheHeaderOfAMatrix) {
  JobSettings settings;
  settings.decomposition = {"published", "", 3, 8, 16, 8, 0, 0, ""};
  const CompressedMatrixHeader header = HeaderFor(WithDefaults(settings).decomposition, {64, 48});
  EXPECT_EQ(header.rows, 64);
  EXPECT_EQ(header.columns, 48);
  EXPECT_EQ(header.rank, 8);
  EXPECT_EQ(header.q_bits, base::Bits(3));
  EXPECT_EQ(header.l_bits, base::Bits(16));
  EXPECT_EQ(header.r_bits, base::Bits(8));
  EXPECT_EQ(header.axis, CodewordAxis::kColumns);
}

}  // namespace
}  // namespace caldera::model
