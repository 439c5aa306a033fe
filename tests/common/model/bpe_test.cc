#include "common/model/bpe.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/status.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

std::vector<std::int32_t> Encode(const PieceEncoder& encoder, const std::string& piece) {
  std::vector<std::int32_t> ids;
  encoder.Append(piece, &ids);
  return ids;
}

RankedBpeDefinition Abc() {
  RankedBpeDefinition definition;
  definition.name = "abc";
  definition.vocabulary = {{"a", 0},  {"b", 1},  {"c", 2},  {"ab", 3},
                           {"bc", 4}, {"aa", 5}, {"abc", 6}};
  definition.merges = {{"b", "c"}, {"a", "b"}, {"a", "a"}};
  return definition;
}

TEST(RankedBpe, MergesTheBestRankFirstThenTheLeftmost) {
  const auto encoder = MakeRankedBpe(Abc());
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_EQ(Encode(**encoder, ""), std::vector<std::int32_t>{});
  EXPECT_EQ(Encode(**encoder, "a"), std::vector<std::int32_t>{0});
  EXPECT_EQ(Encode(**encoder, "abc"), (std::vector<std::int32_t>{0, 4}));
  EXPECT_EQ(Encode(**encoder, "aaa"), (std::vector<std::int32_t>{5, 0}));
}

TEST(RankedBpe, TakesAWholeTokenWhenMergesAreIgnored) {
  RankedBpeDefinition definition = Abc();
  definition.ignore_merges = true;
  const auto encoder = MakeRankedBpe(definition);
  EXPECT_EQ(Encode(**encoder, "abc"), std::vector<std::int32_t>{6});
}

TEST(RankedBpe, FusesUnknownCharactersAndDropsThemWithoutAnUnknownToken) {
  RankedBpeDefinition definition = Abc();
  definition.symbols = SymbolKind::kCharacter;
  EXPECT_EQ(Encode(**MakeRankedBpe(definition), "a\u20acb"), std::vector<std::int32_t>{3});
  definition.vocabulary.emplace_back("<unk>", 7);
  definition.unknown_id = 7;
  EXPECT_EQ(Encode(**MakeRankedBpe(definition), "a\u20ac\u20acb"),
            (std::vector<std::int32_t>{0, 7, 7, 1}));
  definition.fuse_unknown = true;
  EXPECT_EQ(Encode(**MakeRankedBpe(definition), "a\u20ac\u20acb"),
            (std::vector<std::int32_t>{0, 7, 1}));
}

TEST(RankedBpe, FallsBackToBytesOnlyWhenAllBytesAreTokens) {
  RankedBpeDefinition definition = Abc();
  definition.symbols = SymbolKind::kCharacter;
  definition.byte_fallback = true;
  definition.unknown_id = 0;
  definition.vocabulary.emplace_back("<0xC3>", 8);
  EXPECT_EQ(Encode(**MakeRankedBpe(definition), "\u00e9"), std::vector<std::int32_t>{0});
  definition.vocabulary.emplace_back("<0xA9>", 9);
  EXPECT_EQ(Encode(**MakeRankedBpe(definition), "\u00e9"), (std::vector<std::int32_t>{8, 9}));
}

TEST(RankedBpe, NamesWhatIsWrongInTheVocabulary) {
  RankedBpeDefinition twice = Abc();
  twice.vocabulary.emplace_back("d", 0);
  EXPECT_NE(base::MessageOf(MakeRankedBpe(twice).status()).find("'d' has id 0"), std::string::npos);
  RankedBpeDefinition merge = Abc();
  merge.merges.emplace_back("c", "c");
  EXPECT_NE(base::MessageOf(MakeRankedBpe(merge).status()).find("merge 3 ('c' + 'c')"),
            std::string::npos);
}

ScoredBpeDefinition Scored() {
  return {"spm", {"<unk>", "a", "b", "ab", "ba", "<0xE2>"}, {0, 0, 0, -2, -1, 0}, 0};
}

TEST(ScoredBpe, MergesTheHighestScoreFirst) {
  const auto encoder = MakeScoredBpe(Scored());
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_EQ(Encode(**encoder, "aba"), (std::vector<std::int32_t>{1, 4}));
  EXPECT_EQ(Encode(**encoder, "ab"), std::vector<std::int32_t>{3});
  EXPECT_EQ(Encode(**encoder, ""), std::vector<std::int32_t>{});
}

TEST(ScoredBpe, SpellsUnknownCharactersInBytesOrUnknown) {
  EXPECT_EQ(Encode(**MakeScoredBpe(Scored()), "\u20ac"), (std::vector<std::int32_t>{5, 0, 0}));
}

TEST(ScoredBpe, RejectsScoresThatAreNoNumbersOrTooFew) {
  ScoredBpeDefinition definition = Scored();
  definition.scores[1] = std::nanf("");
  EXPECT_EQ(MakeScoredBpe(definition).status().code(), absl::StatusCode::kInvalidArgument);
  definition.scores.resize(3);
  EXPECT_EQ(MakeScoredBpe(definition).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace caldera::model
