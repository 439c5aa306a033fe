#include "client/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "caldera/v1/checkpoint.pb.h"
#include "caldera/v1/compression.pb.h"
#include "common/base/status.h"

namespace caldera::client {
namespace {

using testing::HasSubstr;

// What `print` writes to stdout.
template <typename Print>
std::string Printed(Print print) {
  testing::internal::CaptureStdout();
  print();
  return testing::internal::GetCapturedStdout();
}

const Json kApple = {{"name", "apple"}, {"size", 3}, {"more", {{"ratio", 0.123456}}}};
const Json kFig = {{"name", "fig"}, {"size", 12}};
const std::vector<Column> kColumns = {{"name", "NAME"}, {"size", "SIZE"}, {"/more/ratio", "RATIO"}};

TEST(Output, KnowsItsFormats) {
  EXPECT_EQ(ParseOutputFormat("table").value(), OutputFormat::kTable);
  EXPECT_EQ(ParseOutputFormat("json").value(), OutputFormat::kJson);
  EXPECT_EQ(ParseOutputFormat("jsonl").value(), OutputFormat::kJsonLines);
  EXPECT_EQ(ParseOutputFormat("name").value(), OutputFormat::kName);
  for (const std::string other : {"", "JSON", "yaml"}) {
    const auto format = ParseOutputFormat(other);
    EXPECT_TRUE(absl::IsInvalidArgument(format.status()));
    EXPECT_THAT(base::MessageOf(format.status()), HasSubstr("output format " + other));
  }
}

TEST(Output, WritesWideIntegersAsNumbers) {
  v1::CompressionJob job;
  job.set_last_event_sequence((std::int64_t{1} << 53) + 1);
  job.set_priority(-7);
  job.mutable_spec()->mutable_calibration()->set_seed(std::numeric_limits<std::uint64_t>::max());

  const Json json = ToJson(job);

  EXPECT_EQ(json["last_event_sequence"].dump(), "9007199254740993");
  EXPECT_EQ(json["priority"].dump(), "-7");
  EXPECT_EQ(json["spec"]["calibration"]["seed"].dump(), "18446744073709551615");
}

TEST(Output, WritesEnumsByNameAndTimesAsRfc3339) {
  v1::CompressionJob job;
  job.set_state(v1::RUNNING);
  job.mutable_create_time()->set_seconds(1'700'000'000);
  job.mutable_create_time()->set_nanos(250'000'000);

  EXPECT_EQ(ToJson(job)["state"], "RUNNING");
  EXPECT_EQ(ToJson(job)["create_time"], "2023-11-14T22:13:20.250Z");
}

TEST(Output, LeavesOutUnsetMessagesAndKeepsScalarDefaults) {
  const Json json = ToJson(v1::CompressionJob());

  EXPECT_FALSE(json.contains("create_time"));
  EXPECT_FALSE(json.contains("error"));
  EXPECT_FALSE(json.contains("spec"));
  EXPECT_EQ(json["name"], "");
  EXPECT_EQ(json["state"], "STATE_UNSPECIFIED");
  EXPECT_EQ(json["priority"], 0);
}

TEST(Output, WritesListsAlsoEmptyOnes) {
  v1::Layer layer;
  EXPECT_EQ(ToJson(layer)["matrices"].dump(), "[]");

  v1::MatrixResult& matrix = *layer.add_matrices();
  matrix.set_projection("mlp.up_proj");
  matrix.add_error_curve(0.5);
  matrix.add_error_curve(0.25);
  const Json json = ToJson(layer);

  EXPECT_EQ(json["matrices"][0]["projection"], "mlp.up_proj");
  EXPECT_EQ(json["matrices"][0]["error_curve"].dump(), "[0.5,0.25]");
}

TEST(Output, WritesOnlyTheChosenMemberOfAOneof) {
  v1::Location location;
  location.set_object("abc");

  EXPECT_EQ(ToJson(location).dump(), R"({"object":"abc"})");
}

TEST(Output, KeepsTheOrderOfTheFields) {
  const Json json = ToJson(v1::ObjectRef());

  EXPECT_EQ(json.dump(), R"({"sha256":"","size":0})");
}

TEST(Output, PrintsAnObjectInEachFormat) {
  EXPECT_EQ(Printed([] { PrintObject(kFig, OutputFormat::kJson); }),
            "{\n  \"name\": \"fig\",\n  \"size\": 12\n}\n");
  EXPECT_EQ(Printed([] { PrintObject(kFig, OutputFormat::kJsonLines); }),
            "{\"name\":\"fig\",\"size\":12}\n");
  EXPECT_EQ(Printed([] { PrintObject(kFig, OutputFormat::kName); }), "fig\n");
  EXPECT_EQ(Printed([] { PrintObject(kApple, OutputFormat::kTable); }),
            "name  apple\nsize  3\nmore  {\"ratio\":0.123456}\n");
}

TEST(Output, PrintsAListInEachFormat) {
  const auto print = [](OutputFormat format) {
    return Printed([format] { PrintList("fruits", {kApple, kFig}, kColumns, format); });
  };
  EXPECT_EQ(print(OutputFormat::kTable),
            "NAME   SIZE  RATIO\napple  3     0.1235\nfig    12    \n");
  EXPECT_EQ(Json::parse(print(OutputFormat::kJson)), (Json{{"fruits", {kApple, kFig}}}));
  EXPECT_EQ(print(OutputFormat::kJsonLines), kApple.dump() + "\n" + kFig.dump() + "\n");
  EXPECT_EQ(print(OutputFormat::kName), "apple\nfig\n");
}

TEST(Output, PrintsAnEmptyList) {
  const auto print = [](OutputFormat format) {
    return Printed([format] { PrintList("fruits", {}, kColumns, format); });
  };
  EXPECT_EQ(print(OutputFormat::kTable), "NAME  SIZE  RATIO\n");
  EXPECT_EQ(print(OutputFormat::kJson), "{\n  \"fruits\": []\n}\n");
  EXPECT_EQ(print(OutputFormat::kJsonLines), "");
}

TEST(Output, SaysBytesForPeople) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(312), "312 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1 KiB");
  EXPECT_EQ(HumanBytes(13.0 * 1024 * 1024), "13.0 MiB");
  EXPECT_EQ(HumanBytes(1.25 * 1024 * 1024 * 1024), "1.2 GiB");
  EXPECT_EQ(HumanBytes(5e15), "4547.5 TiB");
}

TEST(Output, SaysSecondsForPeople) {
  EXPECT_EQ(HumanSeconds(0), "0 s");
  EXPECT_EQ(HumanSeconds(7.2), "7 s");
  EXPECT_EQ(HumanSeconds(59.6), "1 min 00 s");
  EXPECT_EQ(HumanSeconds(200), "3 min 20 s");
  EXPECT_EQ(HumanSeconds(3720), "1 h 02 min");
  EXPECT_EQ(HumanSeconds(-1), "?");
  EXPECT_EQ(HumanSeconds(std::numeric_limits<double>::quiet_NaN()), "?");
}

}  // namespace
}  // namespace caldera::client
