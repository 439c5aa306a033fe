#include "client/spec_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "common/base/status.h"

namespace caldera::client {
namespace {

using testing::HasSubstr;

SpecFlags SomeFlags() {
  SpecFlags flags;
  flags.model = "/models/tiny";
  flags.output = "/out";
  flags.calibration = "/text.txt";
  return flags;
}

// The flags of a command line, or the error of parsing it.
absl::StatusOr<SpecFlags> Parse(std::vector<std::string> arguments) {
  SpecFlags flags;
  CLI::App app;
  AddSpecFlags(app, flags);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return base::InvalidArgument("{}", error.what());
  }
  return flags;
}

std::string ModelUri(const std::string& model) {
  SpecFlags flags = SomeFlags();
  flags.model = model;
  return ToSpec(flags)->model_uri();
}

TEST(SpecFlags, MakesAbsoluteFileUrisOfPaths) {
  const std::string here = "file://" + std::filesystem::current_path().string();
  EXPECT_EQ(ModelUri("/models/tiny"), "file:///models/tiny");
  EXPECT_EQ(ModelUri("/models/tiny/"), "file:///models/tiny");
  EXPECT_EQ(ModelUri("/models/./other/../tiny"), "file:///models/tiny");
  EXPECT_EQ(ModelUri("tiny"), here + "/tiny");
  EXPECT_EQ(ModelUri("./a/tiny.gguf"), here + "/a/tiny.gguf");
  EXPECT_EQ(ModelUri("/"), "file:///");
}

TEST(SpecFlags, LeavesUrisAsTheyAre) {
  EXPECT_EQ(ModelUri("file:///models/tiny"), "file:///models/tiny");
  EXPECT_EQ(ModelUri("s3://bucket/tiny"), "s3://bucket/tiny");
}

TEST(SpecFlags, MakesUrisOfOutputAndTextToo) {
  const v1::JobSpec spec = ToSpec(SomeFlags()).value();
  EXPECT_EQ(spec.output_uri(), "file:///out");
  EXPECT_EQ(spec.calibration().uri(), "file:///text.txt");
}

TEST(SpecFlags, RefusesAnEmptyOutput) {
  SpecFlags flags = SomeFlags();
  flags.output = "";

  const auto spec = ToSpec(flags);

  EXPECT_TRUE(absl::IsInvalidArgument(spec.status()));
  EXPECT_THAT(base::MessageOf(spec.status()), HasSubstr("OUT"));
}

TEST(SpecFlags, TakesFactorBitsForBothUnlessOneIsGiven) {
  SpecFlags flags = SomeFlags();
  flags.factor_bits = 8;
  EXPECT_EQ(ToSpec(flags)->decomposition().l_bits(), 8);
  EXPECT_EQ(ToSpec(flags)->decomposition().r_bits(), 8);

  flags.l_bits = 16;
  EXPECT_EQ(ToSpec(flags)->decomposition().l_bits(), 16);
  EXPECT_EQ(ToSpec(flags)->decomposition().r_bits(), 8);

  flags.r_bits = 4;
  EXPECT_EQ(ToSpec(flags)->decomposition().r_bits(), 4);
}

TEST(SpecFlags, HasTheDefaultsOfTheApi) {
  const v1::JobSpec spec = ToSpec(SomeFlags()).value();
  EXPECT_EQ(spec.calibration().samples(), 128);
  EXPECT_EQ(spec.calibration().seq_len(), 512);
  EXPECT_EQ(spec.calibration().ranges(), 4);
  EXPECT_EQ(spec.decomposition().codebook(), "");
  EXPECT_EQ(spec.decomposition().q_bits(), 0);  // the coordinator's default
  EXPECT_EQ(spec.decomposition().target_bits(), 0);
  EXPECT_EQ(spec.decomposition().rank(), 64);
  EXPECT_EQ(spec.decomposition().l_bits(), 4);
  EXPECT_EQ(spec.decomposition().r_bits(), 4);
  EXPECT_EQ(spec.decomposition().iterations(), 0);
  EXPECT_EQ(spec.embedding_bits(), 8);
  EXPECT_FALSE(spec.keep_hessians());
}

TEST(SpecFlags, ReadsEveryFlag) {
  const auto flags = Parse({"m",         "o",  "--calibration",  "t", "--samples",        "5",
                            "--seq-len", "64", "--ranges",       "3", "--codebook",       "x",
                            "--q-bits",  "3",  "--rank",         "7", "--factor-bits",    "8",
                            "--l-bits",  "16", "--iterations",   "2", "--embedding-bits", "16",
                            "--seed",    "9",  "--keep-hessians"});
  ASSERT_TRUE(flags.ok()) << flags.status();

  const v1::JobSpec spec = ToSpec(*flags).value();

  EXPECT_TRUE(spec.model_uri().ends_with("/m"));
  EXPECT_TRUE(spec.output_uri().ends_with("/o"));
  EXPECT_TRUE(spec.calibration().uri().ends_with("/t"));
  EXPECT_EQ(spec.calibration().samples(), 5);
  EXPECT_EQ(spec.calibration().seq_len(), 64);
  EXPECT_EQ(spec.calibration().ranges(), 3);
  EXPECT_EQ(spec.calibration().seed(), 9U);
  EXPECT_EQ(spec.decomposition().codebook(), "x");
  EXPECT_EQ(spec.decomposition().q_bits(), 3);
  EXPECT_EQ(spec.decomposition().rank(), 7);
  EXPECT_EQ(spec.decomposition().l_bits(), 16);
  EXPECT_EQ(spec.decomposition().r_bits(), 8);
  EXPECT_EQ(spec.decomposition().iterations(), 2);
  EXPECT_EQ(spec.decomposition().seed(), 9U);
  EXPECT_EQ(spec.embedding_bits(), 16);
  EXPECT_TRUE(spec.keep_hessians());
}

TEST(SpecFlags, HasNoRankWithATargetUnlessOneIsGiven) {
  const std::vector<std::string> flags = {"m", "o", "--calibration", "t", "--target-bits", "2.5"};
  const v1::JobSpec spec = ToSpec(Parse(flags).value()).value();
  EXPECT_EQ(spec.decomposition().target_bits(), 2.5);
  EXPECT_EQ(spec.decomposition().q_bits(), 0);
  EXPECT_EQ(spec.decomposition().rank(), 0);

  std::vector<std::string> more = flags;
  more.insert(more.end(), {"--rank", "8", "--target-bits-include", "embeddings"});
  const v1::JobSpec ranked = ToSpec(Parse(more).value()).value();
  EXPECT_EQ(ranked.decomposition().rank(), 8);
  EXPECT_EQ(ranked.decomposition().target_bits_include(), "embeddings");
}

TEST(SpecFlags, SettingsAreTheSpecWithoutPlacesAndSeeds) {
  const auto flags = Parse({"m",         "o",  "--calibration", "t",   "--samples",        "5",
                            "--seq-len", "64", "--ranges",      "3",   "--codebook",       "x",
                            "--recipe",  "y",  "--q-bits",      "3.5", "--rank",           "7",
                            "--l-bits",  "16", "--iterations",  "2",   "--embedding-bits", "16"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  const v1::JobSpec spec = ToSpec(*flags).value();

  const model::JobSettings settings = ToSettings(*flags);

  EXPECT_EQ(settings.samples, spec.calibration().samples());
  EXPECT_EQ(settings.seq_len, spec.calibration().seq_len());
  EXPECT_EQ(settings.ranges, spec.calibration().ranges());
  EXPECT_EQ(settings.decomposition.recipe, spec.decomposition().recipe());
  EXPECT_EQ(settings.decomposition.codebook, spec.decomposition().codebook());
  EXPECT_EQ(settings.decomposition.q_bits, spec.decomposition().q_bits());
  EXPECT_EQ(settings.decomposition.rank, spec.decomposition().rank());
  EXPECT_EQ(settings.decomposition.l_bits, spec.decomposition().l_bits());
  EXPECT_EQ(settings.decomposition.r_bits, spec.decomposition().r_bits());
  EXPECT_EQ(settings.decomposition.iterations, spec.decomposition().iterations());
  EXPECT_EQ(settings.embedding_bits, spec.embedding_bits());
}

TEST(SpecFlags, AnEstimateNeedsNoPlaceAndNoText) {
  SpecFlags flags;
  CLI::App app;
  AddSettingFlags(app, flags);
  std::vector<std::string> arguments = {"9", "--rank", "m"};  // last first, as CLI11 takes them
  app.parse(arguments);
  EXPECT_EQ(flags.model, "m");
  EXPECT_EQ(flags.rank, 9);
}

TEST(SpecFlags, NamesTheArgumentThatIsMissingOrNoNumber) {
  EXPECT_THAT(base::MessageOf(Parse({"m", "o"}).status()), HasSubstr("--calibration"));
  EXPECT_THAT(base::MessageOf(Parse({"m", "--calibration", "t"}).status()), HasSubstr("OUT"));
  EXPECT_THAT(base::MessageOf(Parse({"m", "o", "--calibration", "t", "--rank", "x"}).status()),
              HasSubstr("--rank"));
}

}  // namespace
}  // namespace caldera::client
