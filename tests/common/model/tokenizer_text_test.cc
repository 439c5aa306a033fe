#include "common/model/tokenizer_text.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/model/tokenizer_nfc.h"
#include "common/model/tokenizer_regex.h"
#include "common/model/tokenizer_steps.h"

namespace caldera::model {
namespace {

TEST(TokenizerText, AcceptsTheBoundariesOfUtf8) {
  EXPECT_FALSE(FirstInvalidUtf8(""));
  EXPECT_FALSE(FirstInvalidUtf8("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF"));
  EXPECT_FALSE(FirstInvalidUtf8("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\xED\x9F\xBF"));
}

TEST(TokenizerText, FindsTheOffsetOfInvalidUtf8) {
  EXPECT_EQ(FirstInvalidUtf8("ab\x80"), 2u);
  EXPECT_EQ(FirstInvalidUtf8("a\xC0\x80"), 1u);
  EXPECT_EQ(FirstInvalidUtf8("\xE0\x9F\xBF"), 0u);
  EXPECT_EQ(FirstInvalidUtf8("\xED\xA0\x80"), 0u);
  EXPECT_EQ(FirstInvalidUtf8("\xF0\x8F\xBF\xBF"), 0u);
  EXPECT_EQ(FirstInvalidUtf8("\xF4\x90\x80\x80"), 0u);
  EXPECT_EQ(FirstInvalidUtf8("abc\xE2\x82"), 3u);
}

TEST(TokenizerText, WritesAndReadsEveryLengthOfCharacter) {
  for (const char32_t code : {U'a', U'\u00e9', U'\u20ac', U'\U0001F600'}) {
    std::string text;
    AppendUtf8(code, &text);
    EXPECT_EQ(CharacterAt(text, 0).code, code);
    EXPECT_EQ(CharacterAt(text, 0).length, text.size());
  }
}

TEST(TokenizerText, SpellsEveryByteInTheAlphabetAndBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(AlphabetToBytes(BytesToAlphabet(bytes)), bytes);
  EXPECT_EQ(BytesToAlphabet(" a\n"), "\u0120a\u010A");
  EXPECT_FALSE(AlphabetToBytes("a b"));
  EXPECT_FALSE(AlphabetToBytes("\u4e2d"));
}

TEST(TokenizerText, ReadsByteTokens) {
  EXPECT_EQ(ByteTokenText(10), "<0x0A>");
  EXPECT_EQ(ParseByteToken("<0xFF>"), 255);
  EXPECT_FALSE(ParseByteToken("<0xff>"));
  EXPECT_FALSE(ParseByteToken("<0x0A"));
}

TEST(TokenizerNfc, ComposesAndReordersMarks) {
  EXPECT_EQ(ToNfc(""), "");
  EXPECT_EQ(ToNfc("e\u0301"), "\u00e9");
  EXPECT_EQ(ToNfc("a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(ToNfc("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(ToNfc("\u212b\u0958"), "\u00c5\u0915\u093c");
  EXPECT_EQ(ToNfc("\u0301x"), "\u0301x");
}

std::vector<std::string> Matches(const std::string& pattern, const std::string& text) {
  const auto regex = TokenizerRegex::Compile(pattern, "test");
  std::vector<TextRange> ranges;
  EXPECT_TRUE((*regex)->FindAll(text, {0, text.size()}, &ranges).ok());
  std::vector<std::string> matches;
  for (const TextRange& range : ranges) matches.emplace_back(range.of(text));
  return matches;
}

TEST(TokenizerRegex, FindsUnicodeLettersAndSpaces) {
  EXPECT_EQ(Matches(R"(\p{L}+|\s+)", "\u00e9t\u00e9\u3000x"),
            (std::vector<std::string>{"\u00e9t\u00e9", "\u3000", "x"}));
}

TEST(TokenizerRegex, DoesNotTakeTheMongolianVowelSeparatorForASpace) {
  EXPECT_EQ(Matches(R"(\s|[^\s])", "\u180e"), std::vector<std::string>{"\u180e"});
  EXPECT_TRUE(Matches(R"(\s)", "\u180e").empty());
}

TEST(TokenizerRegex, ReportsEmptyMatchesOnlyApartFromOthers) {
  EXPECT_EQ(Matches("a*", "aab"), (std::vector<std::string>{"aa", ""}));
  EXPECT_EQ(Matches("x", ""), std::vector<std::string>{});
}

TEST(TokenizerRegex, NamesABadPattern) {
  const auto regex = TokenizerRegex::Compile("(", "file: pattern");
  EXPECT_EQ(regex.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(regex.status()).find("file: pattern"), std::string::npos);
}

TEST(TokenizerSteps, StripsWhiteSpaceOfBothEnds) {
  std::string text = "\u3000 a b \n";
  ASSERT_TRUE(MakeStripNormalizer(StripSides::kBoth)->Apply(&text).ok());
  EXPECT_EQ(text, "a b");
  text = " \n";
  ASSERT_TRUE(MakeStripNormalizer(StripSides::kBoth)->Apply(&text).ok());
  EXPECT_EQ(text, "");
}

TEST(TokenizerSteps, CutsWordsOnlyWhenNoTokenCrossesAMark) {
  const std::string mark(kSpaceMark);
  EXPECT_EQ(MakeWordCut({mark, "a" + mark}), nullptr);
  EXPECT_EQ(MakeWordCut({"a"}), nullptr);
  const auto cut = MakeWordCut({mark, mark + mark + "a", "b"});
  ASSERT_NE(cut, nullptr);
  SplitText split{mark + mark + "a" + mark + "b", {}, true};
  split.pieces = {{0, split.text.size()}};
  ASSERT_TRUE(cut->Apply(&split).ok());
  EXPECT_EQ(split.pieces, (std::vector<TextRange>{{0, 7}, {7, 11}}));
}

}  // namespace
}  // namespace caldera::model
