#include "coordinator/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {
namespace {

v1::JobSpec GoodSpec() {
  v1::JobSpec spec;
  spec.set_model_uri("/models/x/");
  spec.set_output_uri("file:///out");
  spec.mutable_calibration()->set_uri("/text.txt");
  return WithDefaults(spec);
}

std::vector<std::string> FieldsOf(const std::vector<FieldViolation>& violations) {
  std::vector<std::string> fields;
  for (const FieldViolation& violation : violations) fields.push_back(violation.field);
  return fields;
}

TEST(Spec, FillsInTheDefaultsOfTheProtocol) {
  const v1::JobSpec spec = GoodSpec();
  EXPECT_EQ(spec.model_uri(), "file:///models/x");
  EXPECT_EQ(spec.calibration().samples(), 128);
  EXPECT_EQ(spec.calibration().seq_len(), 512);
  EXPECT_EQ(spec.calibration().ranges(), 4);
  EXPECT_EQ(spec.decomposition().codebook(), "trellis-10");
  EXPECT_EQ(spec.decomposition().q_bits(), 2);
  EXPECT_EQ(spec.decomposition().rank(), 0);
  EXPECT_EQ(spec.decomposition().l_bits(), 4);
  EXPECT_EQ(spec.decomposition().r_bits(), 4);
  EXPECT_EQ(spec.embedding_bits(), 8);
  EXPECT_TRUE(CheckSpec(spec).empty());
}

TEST(Spec, DefaultsAreStableUnderRepetition) {
  const v1::JobSpec once = GoodSpec();
  EXPECT_EQ(WithDefaults(once).SerializeAsString(), once.SerializeAsString());
}

TEST(Spec, CutsFewSamplesIntoNoMoreRangesThanThereAre) {
  v1::JobSpec spec;
  spec.mutable_calibration()->set_samples(3);
  EXPECT_EQ(WithDefaults(spec).calibration().ranges(), 3);
}

TEST(Spec, TheRightFactorFollowsTheLeft) {
  v1::JobSpec spec;
  spec.mutable_decomposition()->set_l_bits(16);
  EXPECT_EQ(WithDefaults(spec).decomposition().r_bits(), 16);
}

v1::JobSpec SpecWithTarget(double target_bits) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_decomposition()->clear_q_bits();
  spec.mutable_decomposition()->set_target_bits(target_bits);
  return WithDefaults(spec);
}

TEST(Spec, ATargetTakesThePlaceOfQBits) {
  EXPECT_EQ(SpecWithTarget(2.5).decomposition().q_bits(), 0);
  EXPECT_TRUE(CheckSpec(SpecWithTarget(2.5)).empty());
}

TEST(Spec, NamesWhatIsWrongWithATarget) {
  using testing::ElementsAre;
  for (const double bad : {1.9, 16.1, -1.0, std::nan("")}) {
    EXPECT_THAT(FieldsOf(CheckSpec(SpecWithTarget(bad))), ElementsAre("decomposition.target_bits"));
  }
  v1::JobSpec both = SpecWithTarget(2.5);
  both.mutable_decomposition()->set_q_bits(2);
  EXPECT_THAT(FieldsOf(CheckSpec(both)), ElementsAre("decomposition.q_bits"));
  v1::JobSpec published = SpecWithTarget(2.5);
  published.mutable_decomposition()->set_recipe("published");
  published.mutable_decomposition()->set_codebook("e8p");
  EXPECT_THAT(FieldsOf(CheckSpec(published)), ElementsAre("decomposition.target_bits"));
  v1::JobSpec include = SpecWithTarget(2.5);
  include.mutable_decomposition()->set_target_bits_include("norms");
  EXPECT_THAT(FieldsOf(CheckSpec(include)), ElementsAre("decomposition.target_bits_include"));
}

TEST(Spec, NamesEveryFieldThatIsWrong) {
  v1::JobSpec spec = GoodSpec();
  spec.set_model_uri("");
  spec.set_output_uri("relative/path");
  spec.set_embedding_bits(7);
  spec.mutable_decomposition()->set_q_bits(5);
  spec.mutable_decomposition()->set_l_bits(3);
  spec.mutable_decomposition()->set_rank(-1);
  spec.mutable_decomposition()->set_codebook("e9");
  spec.mutable_calibration()->set_samples(-1);
  spec.mutable_calibration()->set_seq_len(1);
  EXPECT_THAT(
      FieldsOf(CheckSpec(spec)),
      testing::IsSupersetOf({"model_uri", "output_uri", "embedding_bits", "decomposition.q_bits",
                             "decomposition.l_bits", "decomposition.rank", "decomposition.codebook",
                             "calibration.samples", "calibration.seq_len"}));
}

TEST(Spec, NeedsAtLeastOneSamplePerRange) {
  v1::JobSpec spec = GoodSpec();
  spec.mutable_calibration()->set_samples(2);
  spec.mutable_calibration()->set_ranges(3);
  EXPECT_THAT(FieldsOf(CheckSpec(spec)), testing::ElementsAre("calibration.ranges"));
}

TEST(Spec, RankStaysBelowTheSmallestSideOfEveryMatrix) {
  v1::JobSpec spec = GoodSpec();
  const model::ModelConfig config = TinyConfig();  // k and v are 8 x 16
  spec.mutable_decomposition()->set_rank(7);
  EXPECT_TRUE(CheckSpecAgainstModel(spec, config).empty());
  spec.mutable_decomposition()->set_rank(8);
  const auto violations = CheckSpecAgainstModel(spec, config);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_THAT(violations[0].description, testing::HasSubstr("self_attn.k_proj"));
}

TEST(Spec, KeepsPlacesInOneForm) {
  v1::JobSpec spec = GoodSpec();
  spec.set_model_uri("https://host/model/");
  spec.set_output_uri("s3://bucket/out/");
  spec.mutable_calibration()->set_uri("/a/text.txt");
  spec = WithDefaults(spec);
  EXPECT_EQ(spec.model_uri(), "https://host/model");
  EXPECT_EQ(spec.output_uri(), "s3://bucket/out");
  EXPECT_EQ(spec.calibration().uri(), "file:///a/text.txt");
  EXPECT_TRUE(CheckSpec(spec).empty());
}

TEST(Spec, RefusesPlacesThatNobodyReachesOrThatHoldSecrets) {
  v1::JobSpec spec = GoodSpec();
  for (const char* bad : {"a/b", "gopher://b/k", "file://host/a", "/a/../b", "/a\nb", "s3://B/k",
                          "s3://bucket/../k", "https://host/m?token=x", "https://u:p@host/m"}) {
    spec.set_model_uri(bad);
    EXPECT_THAT(FieldsOf(CheckSpec(spec)), testing::ElementsAre("model_uri")) << bad;
  }
  spec = GoodSpec();
  spec.set_output_uri("https://host/out");
  EXPECT_THAT(FieldsOf(CheckSpec(spec)), testing::ElementsAre("output_uri"));
}

TEST(Spec, JobIdsAreShortLowerCaseNames) {
  EXPECT_TRUE(CheckJobId("a").ok());
  EXPECT_TRUE(CheckJobId(std::string(63, 'a')).ok());
  for (const std::string& bad : {std::string(), std::string(64, 'a'), std::string("A"),
                                 std::string("a/b"), std::string("a b")}) {
    EXPECT_FALSE(CheckJobId(bad).ok()) << bad;
  }
}

TEST(Spec, ViolationsTravelAsBadRequestWithAReason) {
  const absl::Status status = ViolationsToStatus({{"job_id", "is bad"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidSpec);
  EXPECT_EQ(rpc::GetFieldViolations(status).at(0).field, "job_id");
  EXPECT_TRUE(ViolationsToStatus({}).ok());
}

}  // namespace
}  // namespace caldera::coordinator
