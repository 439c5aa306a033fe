// The vocabulary of a GGUF file as tokenizer.json and tokenizer_config.json.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/bpe_merge.h"
#include "common/model/tokenizer_gguf.h"
#include "common/model/tokenizer_gguf_pre.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

// Keys come out sorted, so the text is a function of the vocabulary.
using Json = nlohmann::json;

Json Vocabulary(const GgufVocabulary& vocabulary) {
  Json map = Json::object();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) map[vocabulary.tokens[id]] = id;
  return map;
}

// Control and unknown tokens are special (not parsed in plain text), user-defined ones are not.
Json AddedTokens(const GgufVocabulary& vocabulary) {
  Json list = Json::array();
  for (std::size_t id = 0; id < vocabulary.token_types.size(); ++id) {
    const auto type = static_cast<GgufTokenType>(vocabulary.token_types[id]);
    const bool is_user = type == GgufTokenType::kUserDefined;
    if (!is_user && type != GgufTokenType::kControl && type != GgufTokenType::kUnknown) continue;
    list.push_back({{"id", id},
                    {"content", vocabulary.tokens[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", !is_user}});
  }
  return list;
}

Json SequenceOf(const char* members, Json steps) {
  return {{"type", "Sequence"}, {members, std::move(steps)}};
}

Json TextPattern(const std::string& text) { return {{"String", text}}; }

// BOS before a single text, and before each of a pair.
Json BosTemplate(const std::string& text, std::int32_t id) {
  const auto special = [&text](int type) {
    return Json{{"SpecialToken", {{"id", text}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special(0), sequence("A", 0)})},
          {"pair", Json::array({special(0), sequence("A", 0), special(1), sequence("B", 1)})},
          {"special_tokens",
           {{text, {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}}}}}};
}

Json BpeModel(const GgufVocabulary& vocabulary, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", Vocabulary(vocabulary)},
          {"merges", std::move(merges)}};
}

absl::Status AddByteLevel(const GgufVocabulary& vocabulary, Json* root) {
  CALDERA_ASSIGN_OR_RETURN(const GgufPreTokenizer pre,
                           FindGgufPreTokenizer(vocabulary.pre, vocabulary.name));
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  Json steps = Json::array();
  for (const std::string& pattern : pre.patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(byte_level);
  (*root)["pre_tokenizer"] = SequenceOf("pretokenizers", std::move(steps));
  (*root)["decoder"] = byte_level;
  (*root)["model"] = BpeModel(vocabulary, Json(vocabulary.merges));
  (*root)["model"]["ignore_merges"] = pre.ignore_merges;
  return absl::OkStatus();
}

// One way to put a token together from two others.
struct PieceMerge {
  std::size_t id = 0;
  std::size_t left_bytes = 0;
};

std::vector<PieceMerge> AllMerges(const GgufVocabulary& vocabulary) {
  SpellingMap ids;
  for (const std::string& token : vocabulary.tokens) ids.emplace(token, 0);
  std::vector<PieceMerge> merges;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      if (ids.contains(token.substr(0, cut)) && ids.contains(token.substr(cut))) {
        merges.push_back({id, cut});
      }
    }
  }
  const auto before = [&vocabulary](const PieceMerge& a, const PieceMerge& b) {
    const float a_score = vocabulary.scores[a.id];
    const float b_score = vocabulary.scores[b.id];
    if (a_score != b_score) return a_score > b_score;
    return a.id != b.id ? a.id < b.id : a.left_bytes > b.left_bytes;
  };
  std::sort(merges.begin(), merges.end(), before);
  return merges;
}

Json ScoredMerges(const GgufVocabulary& vocabulary) {
  Json list = Json::array();
  for (const PieceMerge& merge : AllMerges(vocabulary)) {
    const std::string& token = vocabulary.tokens[merge.id];
    // Pairs, not "left right": a piece may hold a space.
    list.push_back(
        Json::array({token.substr(0, merge.left_bytes), token.substr(merge.left_bytes)}));
  }
  return list;
}

void AddScored(const GgufVocabulary& vocabulary, Json* root) {
  const bool adds_space = vocabulary.add_space_prefix.value_or(true);
  const std::string mark(kSpaceMark);
  Json normalizers = Json::array();
  if (adds_space) normalizers.push_back({{"type", "Prepend"}, {"prepend", mark}});
  normalizers.push_back({{"type", "Replace"}, {"pattern", TextPattern(" ")}, {"content", mark}});
  (*root)["normalizer"] = SequenceOf("normalizers", std::move(normalizers));
  Json decoders = Json::array();
  decoders.push_back({{"type", "Replace"}, {"pattern", TextPattern(mark)}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (adds_space) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  (*root)["decoder"] = SequenceOf("decoders", std::move(decoders));
  Json model = BpeModel(vocabulary, ScoredMerges(vocabulary));
  model["byte_fallback"] = true;
  if (vocabulary.unknown_id) {
    model["unk_token"] = vocabulary.tokens[static_cast<std::size_t>(*vocabulary.unknown_id)];
  }
  (*root)["model"] = std::move(model);
}

// The spelling of an id, or null.
Json TokenText(const GgufVocabulary& vocabulary, std::optional<std::int32_t> id) {
  if (!id) return nullptr;
  return vocabulary.tokens[static_cast<std::size_t>(*id)];
}

}  // namespace

absl::StatusOr<std::string> TokenizerJson(const GgufVocabulary& vocabulary) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, MakeGgufTokenizer(vocabulary));
  Json root = {{"version", "1.0"},         {"truncation", nullptr},    {"padding", nullptr},
               {"normalizer", nullptr},    {"pre_tokenizer", nullptr}, {"decoder", nullptr},
               {"post_processor", nullptr}};
  root["added_tokens"] = AddedTokens(vocabulary);
  if (vocabulary.model == "gpt2") {
    CALDERA_RETURN_IF_ERROR(AddByteLevel(vocabulary, &root));
  } else {
    AddScored(vocabulary, &root);
  }
  if (tokenizer->adds_bos()) {
    const std::int32_t bos = *tokenizer->bos_id();
    root["post_processor"] = BosTemplate(vocabulary.tokens[static_cast<std::size_t>(bos)], bos);
  }
  return root.dump(1) + "\n";
}

absl::StatusOr<std::string> TokenizerConfigJson(const GgufVocabulary& vocabulary) {
  CALDERA_ASSIGN_OR_RETURN(const auto tokenizer, MakeGgufTokenizer(vocabulary));
  Json root = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"add_bos_token", tokenizer->adds_bos()},
               {"add_eos_token", false},
               {"clean_up_tokenization_spaces", false},
               {"bos_token", TokenText(vocabulary, vocabulary.bos_id)},
               {"eos_token", TokenText(vocabulary, vocabulary.eos_id)}};
  if (vocabulary.unknown_id) root["unk_token"] = TokenText(vocabulary, vocabulary.unknown_id);
  if (!vocabulary.chat_template.empty()) root["chat_template"] = vocabulary.chat_template;
  return root.dump(1) + "\n";
}

}  // namespace caldera::model
