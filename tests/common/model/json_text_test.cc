#include "common/model/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"

namespace caldera::model {
namespace {

using ::testing::HasSubstr;

std::string Nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

TEST(JsonText, AcceptsAnyJson) {
  for (const char* text :
       {"{}", "[]", "1", "\"a\"", "null", R"({"a": [1, -2, 3.5e7, true, {}]})"}) {
    EXPECT_TRUE(CheckJsonText(text).ok()) << text;
  }
}

TEST(JsonText, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[1,]", "{\"a\"}", "1e999", "\"\xFF\"", "{} {}"}) {
    EXPECT_EQ(base::MessageOf(CheckJsonText(text)), "not valid JSON") << text;
  }
}

TEST(JsonText, NamesAKeyThatOccursTwiceInOneObject) {
  EXPECT_EQ(base::MessageOf(CheckJsonText(R"([{"x": {"b": 1, "b": 2}}])")),
            "key \"b\" occurs twice");
  EXPECT_TRUE(CheckJsonText(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})").ok());
}

TEST(JsonText, BoundsTheDepth) {
  EXPECT_TRUE(CheckJsonText(Nested(kMaxJsonDepth)).ok());
  EXPECT_THAT(base::MessageOf(CheckJsonText(Nested(kMaxJsonDepth + 1))), HasSubstr("too deeply"));
  EXPECT_THAT(base::MessageOf(CheckJsonText(std::string(1 << 20, '['))), HasSubstr("too deeply"));
}

// Would take minutes if it were not linear.
TEST(JsonText, ReadsAnObjectOfManyObjects) {
  std::string text = "{\"first\": {}";
  for (int i = 0; i < 300000; ++i) text += fmt::format(",\"{}\":{{}}", i);
  EXPECT_TRUE(CheckJsonText(text + "}").ok());
}

}  // namespace
}  // namespace caldera::model
