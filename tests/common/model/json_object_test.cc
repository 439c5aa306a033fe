#include "common/model/json_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"

namespace caldera::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

JsonObject Parse(const std::string& text) { return *JsonObject::Parse(text, "file"); }

std::string MessageFor(const std::string& text) {
  return base::MessageOf(JsonObject::Parse(text, "file").status());
}

TEST(JsonObject, GivesTypedValues) {
  const JsonObject json =
      Parse(R"({"i": -3, "d": 0.5, "b": true, "s": "x", "l": [1, 2], "t": ["u"], "o": {"k": 1}})");
  EXPECT_EQ(*json.Integer("i"), -3);
  EXPECT_EQ(*json.Number("d"), 0.5);
  EXPECT_EQ(*json.Number("i"), -3.0);
  EXPECT_EQ(*json.Bool("b"), true);
  EXPECT_EQ(*json.String("s"), "x");
  EXPECT_THAT(*json.Integers("l"), ElementsAre(1, 2));
  EXPECT_THAT(*json.AnyIntegers("i"), ElementsAre(-3));
  EXPECT_THAT(*json.Strings("t"), ElementsAre("u"));
  EXPECT_EQ(*json.Object("o")->Integer("k"), 1);
  EXPECT_THAT(json.Keys(), ElementsAre("b", "d", "i", "l", "o", "s", "t"));
}

TEST(JsonObject, NullIsAbsentButContained) {
  const JsonObject json = Parse(R"({"n": null})");
  EXPECT_FALSE(json.Has("n"));
  EXPECT_TRUE(json.Contains("n"));
  EXPECT_FALSE(json.Contains("m"));
  EXPECT_EQ(*json.IntegerOr("n", 7), 7);
  EXPECT_FALSE(json.FindBool("n")->has_value());
  EXPECT_TRUE(json.AnyIntegers("n")->empty());
}

TEST(JsonObject, ErrorsNameFileAndField) {
  const JsonObject json = Parse(R"({"outer": {"s": "x"}})");
  const auto outer = json.Object("outer");
  EXPECT_EQ(base::MessageOf(outer->Integer("s").status()),
            "file: outer: field \"s\" is not an integer");
  EXPECT_EQ(base::MessageOf(outer->Integer("t").status()), "file: outer: field \"t\" is missing");
}

TEST(JsonObject, IntegersAreWholeAndWithinInt64) {
  const JsonObject json = Parse(R"({"f": 1.0, "big": 9223372036854775808, "b": true})");
  EXPECT_FALSE(json.Integer("f").ok());
  EXPECT_FALSE(json.Integer("big").ok());
  EXPECT_FALSE(json.Integer("b").ok());
  EXPECT_FALSE(json.IntegerOr("f", 1).ok());
}

TEST(JsonObject, RejectsWhatIsNoJsonObject) {
  for (const std::string text :
       {"", "[]", "3", "{", "{} x", "{\"a\":}", "\xFF", "{\"a\": 1e999}"}) {
    EXPECT_FALSE(JsonObject::Parse(text, "file").ok()) << text;
  }
}

TEST(JsonObject, RejectsDuplicateKeysAtAnyDepth) {
  EXPECT_THAT(MessageFor(R"({"a": 1, "a": 2})"), HasSubstr("\"a\" occurs twice"));
  EXPECT_THAT(MessageFor(R"({"x": [{"b": 1, "c": {}, "b": 2}], "y": {}})"),
              HasSubstr("\"b\" occurs twice"));
  EXPECT_TRUE(JsonObject::Parse(R"({"a": {"a": {"a": 1}}, "b": {"a": 2}})", "file").ok());
}

TEST(JsonObject, RejectsDeepNesting) {
  const std::string deep(100000, '[');
  EXPECT_THAT(MessageFor("{\"a\": " + deep), HasSubstr("too deeply"));
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(JsonObject::Parse(objects, "file").ok());
}

}  // namespace
}  // namespace caldera::model
