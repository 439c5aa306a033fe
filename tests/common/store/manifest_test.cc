#include "common/store/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "tests/common/store/sample_manifest.h"

namespace caldera::store {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

// What parsing says after `change` was made to a good document.
template <typename Change>
absl::Status StatusAfter(Change change) {
  Json json = Json::parse(ManifestToJson(SampleManifest()).value());
  change(json);
  return ParseManifest(json.dump(), "manifest.json").status();
}

TEST(Manifest, ReadsBackWhatItWrote) {
  const Manifest manifest = SampleManifest();
  const std::string json = ManifestToJson(manifest).value();
  EXPECT_EQ(ParseManifest(json, "m").value(), manifest);
  EXPECT_EQ(ManifestToJson(ParseManifest(json, "m").value()).value(), json);
}

TEST(Manifest, AnEmptyCheckpointIsPossible) {
  Manifest manifest = SampleManifest();
  manifest.files.clear();
  manifest.matrices.clear();
  SummarizeManifest(manifest);
  EXPECT_EQ(manifest.output_bytes, 0);
  EXPECT_EQ(ParseManifest(ManifestToJson(manifest).value(), "m").value(), manifest);
}

TEST(Manifest, SummarizesFilesAndErrors) {
  const Manifest manifest = SampleManifest();
  EXPECT_EQ(manifest.output_bytes, 9);
  EXPECT_DOUBLE_EQ(manifest.mean_relative_error, 0.2);
  EXPECT_DOUBLE_EQ(manifest.max_relative_error, 0.3);
}

TEST(Manifest, WritesSortedKeysTwoSpacesAndShortestNumbers) {
  const std::string json = ManifestToJson(SampleManifest()).value();
  EXPECT_EQ(
      json.rfind("{\n  \"bits_per_weight\": 2.71,\n  \"calibration\": {\n    \"sha256\": ", 0), 0U);
  EXPECT_THAT(json, HasSubstr("\"damping\": 0.0001,"));
  EXPECT_THAT(json, HasSubstr("\"seed\": 18446744073709551615"));
  EXPECT_EQ(json.back(), '\n');
}

TEST(Manifest, NamesEveryMissingField) {
  const Json whole = Json::parse(ManifestToJson(SampleManifest()).value());
  const Json flat = whole.flatten();
  for (const auto& [pointer, ignored] : flat.items()) {
    const Json::json_pointer place(pointer);
    // Array items and listed files may be fewer.
    if (!whole[place.parent_pointer()].is_object() ||
        pointer.rfind("/error_curve") != std::string::npos) {
      continue;
    }
    Json json = whole;
    json[place.parent_pointer()].erase(place.back());
    const absl::Status status = ParseManifest(json.dump(), "dir/manifest.json").status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << pointer;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("dir/manifest.json"));
    EXPECT_THAT(base::MessageOf(status), HasSubstr(place.back() + ": missing")) << pointer;
  }
}

TEST(Manifest, NamesEveryFieldOfAnotherType) {
  const Json whole = Json::parse(ManifestToJson(SampleManifest()).value());
  const Json flat = whole.flatten();
  for (const auto& [pointer, ignored] : flat.items()) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = Json::parse("[null]");
    const absl::Status status = ParseManifest(json.dump(), "m").status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << pointer;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("expected")) << pointer;
  }
}

TEST(Manifest, RefusesUnknownFieldsAtEveryLevel) {
  EXPECT_THAT(base::MessageOf(StatusAfter([](Json& json) { json["surprise"] = 1; })),
              HasSubstr("surprise: unknown field"));
  EXPECT_THAT(base::MessageOf(StatusAfter([](Json& json) { json["matrices"][1]["x"] = 1; })),
              HasSubstr("matrices[1].x: unknown field"));
  EXPECT_THAT(
      base::MessageOf(StatusAfter([](Json& json) { json["spec"]["calibration"]["uri"] = ""; })),
      HasSubstr("spec.calibration.uri: unknown field"));
}

TEST(Manifest, RefusesAnotherVersion) {
  const absl::Status status =
      StatusAfter([](Json& json) { json["format"] = "caldera.checkpoint.v2"; });
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(base::MessageOf(status), HasSubstr("caldera.checkpoint.v2"));
}

TEST(Manifest, RefusesNumbersOutOfBounds) {
  const auto rows = [](const Json& value) {
    return StatusAfter([&value](Json& json) { json["matrices"][0]["rows"] = value; });
  };
  for (const Json& bad : {Json(-1), Json(1.5), Json("1"), Json(1ULL << 63), Json(1e300)}) {
    EXPECT_THAT(base::MessageOf(rows(bad)), HasSubstr("matrices[0].rows")) << bad;
  }
}

TEST(Manifest, RefusesFilesThatCouldBeElsewhere) {
  for (const std::string name : {"../x", "/etc/passwd", "a/b", "manifest.json", "run.json", ""}) {
    const absl::Status status = StatusAfter([&name](Json& json) {
      json["files"][name] = {{"bytes", 0}, {"sha256", std::string(64, '0')}};
    });
    EXPECT_TRUE(absl::IsDataLoss(status)) << name;
    EXPECT_THAT(base::MessageOf(status), HasSubstr("files[\"" + name + "\"]"));
  }
}

TEST(Manifest, RefusesASizeThatIsNotTheSum) {
  EXPECT_THAT(base::MessageOf(StatusAfter([](Json& json) { json["output_bytes"] = 10; })),
              HasSubstr("output_bytes"));
  EXPECT_THAT(base::MessageOf(StatusAfter(
                  [](Json& json) { json["files"]["config.json"]["bytes"] = ~std::uint64_t{0}; })),
              HasSubstr("bytes: too large"));
}

TEST(Manifest, RefusesBadDigests) {
  EXPECT_THAT(
      base::MessageOf(StatusAfter([](Json& json) { json["model"]["fingerprint"] = "abc"; })),
      HasSubstr("model.fingerprint"));
  EXPECT_THAT(base::MessageOf(StatusAfter([](Json& json) {
                json["files"]["config.json"]["sha256"] = std::string(64, 'A');
              })),
              HasSubstr("files[\"config.json\"].sha256"));
}

TEST(Manifest, RefusesARepeatedKey) {
  std::string json = ManifestToJson(SampleManifest()).value();
  json.insert(1, "\"tool_version\": \"9\",");
  EXPECT_THAT(base::MessageOf(ParseManifest(json, "m").status()),
              HasSubstr("key \"tool_version\" occurs twice"));
}

TEST(Manifest, WritesNothingThatItWouldNotRead) {
  Manifest manifest = SampleManifest();
  manifest.matrices[1].damping = std::numeric_limits<double>::quiet_NaN();
  auto json = ManifestToJson(manifest);
  EXPECT_TRUE(absl::IsInvalidArgument(json.status()));
  EXPECT_THAT(base::MessageOf(json.status()), HasSubstr("matrices[1].damping"));

  manifest = SampleManifest();
  manifest.tool_version = "\xFF";
  EXPECT_TRUE(absl::IsInvalidArgument(ManifestToJson(manifest).status()));

  manifest = SampleManifest();
  manifest.model.layers = -1;
  EXPECT_THAT(base::MessageOf(ManifestToJson(manifest).status()), HasSubstr("model.layers"));
}

TEST(Manifest, EveryTruncationIsAnError) {
  const std::string json = ManifestToJson(SampleManifest()).value();
  // Without its last character, the newline, it is still whole.
  for (std::size_t length = 0; length + 1 < json.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(ParseManifest(json.substr(0, length), "m").status())) << length;
  }
}

TEST(Manifest, EveryFlippedBitIsAnErrorOrAnotherManifest) {
  const Manifest manifest = SampleManifest();
  const std::string json = ManifestToJson(manifest).value();
  for (std::size_t bit = 0; bit < 8 * json.size(); ++bit) {
    std::string damaged = json;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const auto parsed = ParseManifest(damaged, "m");
    const bool blank = json[bit / 8] == ' ' || json[bit / 8] == '\n';
    // A blank may become another blank; exponents of zero and letter case of "E" do not occur.
    EXPECT_TRUE(!parsed.ok() || blank || *parsed != manifest) << bit;
  }
}

TEST(Manifest, DeepNestingIsAnErrorNotACrash) {
  EXPECT_TRUE(absl::IsDataLoss(ParseManifest(std::string(1 << 20, '['), "m").status()));
}

}  // namespace
}  // namespace caldera::store
