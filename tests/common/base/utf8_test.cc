#include "common/base/utf8.h"

#include <gtest/gtest.h>

namespace caldera::base {
namespace {

TEST(Utf8, AcceptsTheBoundariesOfEveryLength) {
  for (const std::string& text :
       {std::string(1, '\0'), std::string("\x7F"), std::string("\xC2\x80"), std::string("\xDF\xBF"),
        std::string("\xE0\xA0\x80"), std::string("\xED\x9F\xBF"), std::string("\xEE\x80\x80"),
        std::string("\xEF\xBF\xBF"), std::string("\xF0\x90\x80\x80"),
        std::string("\xF4\x8F\xBF\xBF")}) {
    EXPECT_TRUE(IsValidUtf8(text)) << text;
    EXPECT_EQ(Utf8SequenceLength(text, 0), text.size());
  }
  EXPECT_TRUE(IsValidUtf8(""));
}

TEST(Utf8, RefusesOverlongSurrogatesTooLargeAndCutSequences) {
  for (const std::string text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                 "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF8",
                                 "\xFF", "\xC2", "\xE2\x82", "\xF0\x9F\x98", "\xE2(\xA1"}) {
    EXPECT_FALSE(IsValidUtf8(text)) << text;
  }
}

TEST(JsonQuote, EscapesWhatJsonCannotHold) {
  EXPECT_EQ(JsonQuote(""), "\"\"");
  EXPECT_EQ(JsonQuote("a\"b\\c\n\r\t\x01\x7F"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
  EXPECT_EQ(JsonQuote(std::string("\0", 1)), "\"\\u0000\"");
  EXPECT_EQ(JsonQuote("gr\xC3\xBC\xC3\x9F"), "\"gr\xC3\xBC\xC3\x9F\"");
  EXPECT_EQ(JsonQuote("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
}

}  // namespace
}  // namespace caldera::base
