#include "common/model/tokenizer.h"

#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer_gguf.h"
#include "common/model/tokenizer_json.h"

namespace caldera::model {
namespace {

constexpr char kTokenizerJson[] = R"({
  "added_tokens": [{"id": 5, "content": "<s>", "special": true},
                   {"id": 6, "content": "</s>", "special": true},
                   {"id": 7, "content": "abba", "special": false}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4},
            "merges": [["a", "b"], "\u0120 a"]}})";

using Ids = std::vector<std::int32_t>;

absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(const std::string& json) {
  return ParseTokenizerJson(json, "t.json", {});
}

TEST(Tokenizer, EncodesPlainTextWithoutBos) {
  const auto tokenizer = Parse(kTokenizerJson);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode(""), Ids{});
  EXPECT_EQ(*(*tokenizer)->Encode("ab a"), (Ids{3, 4}));
  EXPECT_EQ((*tokenizer)->vocab_size(), 8);
  EXPECT_EQ((*tokenizer)->bos_id(), 5);
  EXPECT_TRUE((*tokenizer)->adds_bos());
}

TEST(Tokenizer, ParsesAddedTokensButNotSpecialOnes) {
  const auto tokenizer = Parse(kTokenizerJson);
  EXPECT_EQ(*(*tokenizer)->Encode("aabba"), (Ids{0, 7}));
  EXPECT_EQ(*(*tokenizer)->Encode("<s>a"), Ids{0}) << "'<', 's' and '>' have no token here";
}

TEST(Tokenizer, DecodesBytesAndSkipsSpecialAndForeignIds) {
  const auto tokenizer = Parse(kTokenizerJson);
  EXPECT_EQ((*tokenizer)->Decode(Ids{5, 3, 4, 7, 6, -1, 99}), "ab aabba");
}

TEST(Tokenizer, NamesTheOffsetOfInvalidUtf8) {
  const auto tokenizer = Parse(kTokenizerJson);
  const auto ids = (*tokenizer)->Encode("ab\xFF");
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(ids.status()).find("byte 2"), std::string::npos);
}

TEST(TokenizerJson, RejectsEveryTruncation) {
  const std::string whole = kTokenizerJson;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(Parse(whole.substr(0, length)).ok()) << length;
  }
}

TEST(TokenizerJson, SurvivesEveryBitFlip) {
  for (std::size_t bit = 0; bit < (sizeof(kTokenizerJson) - 1) * 8; ++bit) {
    std::string text = kTokenizerJson;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    const auto tokenizer = Parse(text);
    if (tokenizer.ok()) {
      EXPECT_TRUE((*tokenizer)->Encode("ab a<s> abba").ok());
    } else {
      EXPECT_NE(base::MessageOf(tokenizer.status()).find("t.json"), std::string::npos);
    }
  }
}

std::string With(const std::string& from, const std::string& to) {
  std::string text = kTokenizerJson;
  return text.replace(text.find(from), from.size(), to);
}

TEST(TokenizerJson, NamesUnsupportedComponents) {
  const auto bert =
      Parse(With("\"normalizer\": null", R"("normalizer": {"type": "BertNormalizer"})"));
  EXPECT_EQ(bert.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(base::MessageOf(bert.status()).find("BertNormalizer"), std::string::npos);
  const auto unigram = Parse(With("\"BPE\"", "\"Unigram\""));
  EXPECT_EQ(unigram.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(base::MessageOf(unigram.status()).find("Unigram"), std::string::npos);
}

TEST(TokenizerJson, NamesBadVocabularyEntries) {
  const auto id = Parse(With("\"ab\": 3", "\"ab\": -3"));
  EXPECT_NE(base::MessageOf(id.status()).find("vocab[\"ab\"]"), std::string::npos);
  const auto merge = Parse(With("[\"a\", \"b\"]", "[\"a\", \"x\"]"));
  EXPECT_NE(base::MessageOf(merge.status()).find("merge 0"), std::string::npos);
}

TEST(TokenizerJson, RejectsDeepNestingAndRepeatedKeys) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  const auto nested = Parse(With("\"normalizer\": null", "\"normalizer\": " + deep));
  EXPECT_EQ(base::MessageOf(nested.status()), "t.json: nested too deeply");
  const auto repeated = Parse(With("\"ab\": 3", "\"ab\": 3, \"ab\": 5"));
  EXPECT_EQ(base::MessageOf(repeated.status()), "t.json: key \"ab\" occurs twice");
}

TEST(TokenizerJson, RejectsATemplateWhoseTokenHasNoId) {
  const std::string tokens = R"({"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}})";
  for (const char* other : {"[]", "[5]", "{\"<s>\": [5]}", "{\"<s>\": {\"ids\": []}}", "null"}) {
    const auto tokenizer = Parse(With(tokens, other));
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument) << other;
  }
}

TEST(TokenizerJson, RejectsAnIdFarBeyondTheNumberOfTokens) {
  EXPECT_TRUE(Parse(With("\"ab\": 3", "\"ab\": 3000")).ok());
  const auto far = Parse(With("\"ab\": 3", "\"ab\": 16000000"));
  EXPECT_EQ(base::MessageOf(far.status()),
            "t.json: the largest token id is 16000000, of 5 tokens and 3 added ones");
}

// A Sequence of `count` steps that write every letter a twice.
std::string Doublings(int count) {
  const std::string step = R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})";
  std::string steps = step;
  for (int i = 1; i < count; ++i) steps += ", " + step;
  return R"("normalizer": {"type": "Sequence", "normalizers": [)" + steps + "]}";
}

TEST(TokenizerJson, StopsBeforeItsStepsFillTheMemory) {
  const auto few = Parse(With("\"normalizer\": null", Doublings(3)));
  ASSERT_TRUE(few.ok()) << few.status();
  EXPECT_EQ((*few)->Encode("aa")->size(), 16U);
  const auto many = Parse(With("\"normalizer\": null", Doublings(60)));
  ASSERT_TRUE(many.ok()) << many.status();
  EXPECT_EQ((*many)->Encode("aa").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(TokenizerJson, AMetaspaceMarkIsOneCharacter) {
  const auto with_mark = [](const std::string& mark) {
    return Parse(With(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
                      R"({"type": "Metaspace", "replacement": ")" + mark + "\"}"));
  };
  EXPECT_TRUE(with_mark("\xE2\x96\x81").ok());
  EXPECT_FALSE(with_mark("").ok());
  EXPECT_NE(base::MessageOf(with_mark("__").status()).find("\"__\", expected one character"),
            std::string::npos);
}

TEST(TokenizerJson, AnExpressionThatMatchesBackwardsIsAnError) {
  // The assertion moves the start of its match behind the end.
  const std::string split =
      R"j({"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated",
           "pattern": {"Regex": "(?(DEFINE)(?<k>ab\\K))(?=(?&k))"}}, {"type": "ByteLevel"}]})j";
  const auto tokenizer =
      Parse(With(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})", split));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto ids = (*tokenizer)->Encode("ab");
  EXPECT_NE(base::MessageOf(ids.status()).find("matches backwards"), std::string::npos);
}

TEST(LoadTokenizer, NamesTheSetThatHasNone) {
  const MemoryFileSet files("/models/empty");
  const auto tokenizer = LoadTokenizer(files);
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(base::MessageOf(tokenizer.status()),
            "missing tokenizer: /models/empty has neither tokenizer.json nor tokenizer.model");
}

TEST(LoadTokenizer, TakesSpecialTokensFromTheFilesBeside) {
  MemoryFileSet files("m");
  files.Put("tokenizer.json", std::string(kTokenizerJson));
  files.Put("tokenizer_config.json",
            std::string(R"({"add_bos_token": false, "eos_token": {"content": "</s>"}})"));
  files.Put("config.json", std::string(R"({"eos_token_id": [6, 7], "bos_token_id": 5})"));
  const auto tokenizer = LoadTokenizer(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_EQ((*tokenizer)->eos_ids(), (Ids{6, 7}));
}

TEST(LoadTokenizer, RejectsATokenizerModelThatIsNone) {
  MemoryFileSet files("m");
  files.Put("tokenizer.model", std::string("this is no protobuf"));
  const auto tokenizer = LoadTokenizer(files);
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(base::MessageOf(tokenizer.status()).find("m/tokenizer.model"), std::string::npos);
}

GgufVocabulary ByteLevel() {
  GgufVocabulary vocabulary;
  vocabulary.name = "v.gguf";
  vocabulary.model = "gpt2";
  vocabulary.pre = "gpt-2";
  vocabulary.tokens = {"a", "b", "\u0120", "ab", "\u0120a", "<s>", "key"};
  vocabulary.token_types = {1, 1, 1, 1, 1, 3, 4};
  vocabulary.merges = {"a b", "\u0120 a"};
  vocabulary.bos_id = 5;
  vocabulary.eos_id = 5;
  return vocabulary;
}

GgufVocabulary SentencePiece() {
  GgufVocabulary vocabulary;
  vocabulary.name = "v.gguf";
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "\u2581a", "<0x0A>"};
  vocabulary.token_types = {2, 3, 3, 1, 1, 1, 1, 6};
  vocabulary.scores = {0, 0, 0, -3, -4, -5, -1, 0};
  vocabulary.unknown_id = 0;
  vocabulary.bos_id = 1;
  vocabulary.eos_id = 2;
  return vocabulary;
}

TEST(GgufTokenizer, EncodesAndDecodesBothKinds) {
  const auto bytes = MakeGgufTokenizer(ByteLevel());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*(*bytes)->Encode("ab akey"), (Ids{3, 4, 6}));
  EXPECT_FALSE((*bytes)->adds_bos());
  const auto pieces = MakeGgufTokenizer(SentencePiece());
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  EXPECT_EQ(*(*pieces)->Encode("a b\n"), (Ids{6, 3, 5, 7}));
  EXPECT_EQ((*pieces)->Decode(Ids{1, 6, 3, 5, 7}), "a b\n");
  EXPECT_TRUE((*pieces)->adds_bos());
}

TEST(GgufTokenizer, IsTheSameAfterItsTokenizerJson) {
  for (const GgufVocabulary& vocabulary : {ByteLevel(), SentencePiece()}) {
    const auto direct = MakeGgufTokenizer(vocabulary);
    MemoryFileSet files("m");
    files.Put("tokenizer.json", *TokenizerJson(vocabulary));
    files.Put("tokenizer_config.json", *TokenizerConfigJson(vocabulary));
    const auto written = LoadTokenizer(files);
    ASSERT_TRUE(written.ok()) << written.status();
    for (const char* text : {"", "a", "ab a", "a  b\n", "key <s>"}) {
      EXPECT_EQ(*(*written)->Encode(text), *(*direct)->Encode(text)) << text;
    }
    EXPECT_EQ((*written)->special().bos_id, (*direct)->special().bos_id);
    EXPECT_EQ((*written)->adds_bos(), (*direct)->adds_bos());
    EXPECT_EQ((*written)->eos_ids(), (*direct)->eos_ids());
  }
}

TEST(GgufTokenizer, NamesAnUnknownPreTokenizerAndModel) {
  GgufVocabulary vocabulary = ByteLevel();
  vocabulary.pre = "viking";
  EXPECT_EQ(MakeGgufTokenizer(vocabulary).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(base::MessageOf(MakeGgufTokenizer(vocabulary).status()).find("\"viking\""),
            std::string::npos);
  vocabulary.model = "bert";
  EXPECT_EQ(TokenizerJson(vocabulary).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(GgufTokenizer, NumbersBeyond32BitsAreNotCutToSize) {
  const std::int64_t one_and_more = (std::int64_t{1} << 32) + 1;
  const std::map<std::string, GgufValue> model = {{"tokenizer.ggml.model", std::string("gpt2")}};
  for (const auto& [key, value] :
       {std::pair<std::string, GgufValue>("tokenizer.ggml.bos_token_id", one_and_more),
        {"tokenizer.ggml.token_type", std::vector<std::int64_t>{1, one_and_more}}}) {
    std::map<std::string, GgufValue> values = model;
    values[key] = value;
    EXPECT_EQ(base::MessageOf(GgufVocabularyOf(GgufMetadata("f", values), "f").status()),
              "f: " + key + ": 4294967297 is out of range");
  }
}

TEST(GgufTokenizer, RejectsListsThatDisagree) {
  GgufVocabulary types = ByteLevel();
  types.token_types.pop_back();
  GgufVocabulary scores = SentencePiece();
  scores.scores.pop_back();
  GgufVocabulary bos = ByteLevel();
  bos.bos_id = 7;
  GgufVocabulary utf8 = ByteLevel();
  utf8.tokens[3] = "\xFF";
  GgufVocabulary merge = ByteLevel();
  merge.merges.push_back("ab");
  for (const GgufVocabulary& bad : {types, scores, bos, utf8, merge, GgufVocabulary{}}) {
    EXPECT_FALSE(MakeGgufTokenizer(bad).ok());
    EXPECT_FALSE(TokenizerConfigJson(bad).ok());
  }
}

}  // namespace
}  // namespace caldera::model
