#include "common/model/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/bpe_tokenizer.h"
#include "common/model/json_text.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

using Json = nlohmann::json;

// Larger than any vocabulary.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
// Ids below the largest that no token has: keeps a corrupt one from taking memory for a decoding
// table.
constexpr std::size_t kMostHoles = std::size_t{1} << 16;

absl::StatusOr<std::int32_t> CheckedId(const Json& value, const std::string& where) {
  if (value.is_number_integer()) {
    const auto id = value.get<std::int64_t>();
    if (id >= 0 && id < kMostTokens) return static_cast<std::int32_t>(id);
  }
  return base::InvalidArgument("{}: no token id between 0 and {}", where, kMostTokens - 1);
}

// The text of a member of `root`, for the parsers of tokenizer_json_steps.cc.
std::string NodeText(const Json& root, const char* key) {
  const auto node = root.find(key);
  return node == root.end() ? "null" : node->dump();
}

absl::StatusOr<bool> Flag(const Json& object, const char* key, const std::string& where) {
  const auto field = object.find(key);
  if (field == object.end() || field->is_null()) return false;
  if (!field->is_boolean()) return base::InvalidArgument("{}: \"{}\" is no bool", where, key);
  return field->get<bool>();
}

// Empty when absent or null.
absl::StatusOr<std::string> Text(const Json& object, const char* key, const std::string& where) {
  const auto field = object.find(key);
  if (field == object.end() || field->is_null()) return std::string();
  if (!field->is_string()) return base::InvalidArgument("{}: \"{}\" is no string", where, key);
  return field->get<std::string>();
}

// A merge is "left right" or ["left", "right"].
absl::StatusOr<std::pair<std::string, std::string>> ParseMerge(const Json& merge,
                                                               const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return base::InvalidArgument("{}: neither \"left right\" nor [\"left\", \"right\"]", where);
}

absl::Status ReadVocabulary(const Json& model, const std::string& where,
                            RankedBpeDefinition* definition) {
  const auto vocabulary = model.find("vocab");
  if (vocabulary == model.end() || !vocabulary->is_object()) {
    return base::InvalidArgument("{}: \"vocab\" is missing or no object", where);
  }
  definition->vocabulary.reserve(vocabulary->size());
  for (const auto& [spelling, value] : vocabulary->items()) {
    CALDERA_ASSIGN_OR_RETURN(const std::int32_t id,
                             CheckedId(value, fmt::format("{}.vocab[\"{}\"]", where, spelling)));
    definition->vocabulary.emplace_back(spelling, id);
  }
  const auto merges = model.find("merges");
  if (merges == model.end() || !merges->is_array()) {
    return base::InvalidArgument("{}: \"merges\" is missing or no array", where);
  }
  definition->merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    const std::string place = fmt::format("{}.merges[{}]", where, definition->merges.size());
    CALDERA_ASSIGN_OR_RETURN(auto pair, ParseMerge(merge, place));
    definition->merges.push_back(std::move(pair));
  }
  return absl::OkStatus();
}

absl::Status CheckPlainBpe(const Json& model, const std::string& where) {
  CALDERA_ASSIGN_OR_RETURN(const std::string type, Text(model, "type", where));
  if (type != "BPE" && !(type.empty() && model.contains("merges"))) {
    return base::Unimplemented("{}: model \"{}\" is not supported, only BPE", where, type);
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    CALDERA_ASSIGN_OR_RETURN(const std::string affix, Text(model, key, where));
    if (!affix.empty()) return base::Unimplemented("{}: \"{}\" is not supported", where, key);
  }
  const auto dropout = model.find("dropout");
  if (dropout != model.end() && !dropout->is_null() && *dropout != 0) {
    return base::Unimplemented("{}: \"dropout\" is not supported", where);
  }
  return absl::OkStatus();
}

absl::StatusOr<RankedBpeDefinition> ReadModel(const Json& root, const std::string& name,
                                              SymbolKind symbols) {
  const auto model = root.find("model");
  if (model == root.end() || !model->is_object()) {
    return base::InvalidArgument("{}: \"model\" is missing or no object", name);
  }
  const std::string where = name + ": model";
  CALDERA_RETURN_IF_ERROR(CheckPlainBpe(*model, where));
  RankedBpeDefinition definition;
  definition.name = name;
  definition.symbols = symbols;
  CALDERA_RETURN_IF_ERROR(ReadVocabulary(*model, where, &definition));
  CALDERA_ASSIGN_OR_RETURN(definition.fuse_unknown, Flag(*model, "fuse_unk", where));
  CALDERA_ASSIGN_OR_RETURN(definition.byte_fallback, Flag(*model, "byte_fallback", where));
  CALDERA_ASSIGN_OR_RETURN(definition.ignore_merges, Flag(*model, "ignore_merges", where));
  CALDERA_ASSIGN_OR_RETURN(const std::string unknown, Text(*model, "unk_token", where));
  if (unknown.empty()) return definition;
  const Json& vocabulary = (*model)["vocab"];
  const auto entry = vocabulary.find(unknown);
  if (entry == vocabulary.end()) {
    return base::InvalidArgument("{}: unk_token '{}' is not in the vocabulary", where, unknown);
  }
  definition.unknown_id = entry->get<std::int32_t>();
  return definition;
}

// An entry of "added_tokens".
struct AddedEntry {
  AddedToken token;
  bool is_special = false;
};

absl::StatusOr<AddedEntry> ParseAdded(const Json& entry, const std::string& where) {
  if (!entry.is_object() || !entry.contains("id")) {
    return base::InvalidArgument("{}: no object with \"id\"", where);
  }
  AddedEntry added;
  CALDERA_ASSIGN_OR_RETURN(added.token.id, CheckedId(entry["id"], where));
  CALDERA_ASSIGN_OR_RETURN(added.token.content, Text(entry, "content", where));
  CALDERA_ASSIGN_OR_RETURN(added.is_special, Flag(entry, "special", where));
  CALDERA_ASSIGN_OR_RETURN(added.token.after_normalizers, Flag(entry, "normalized", where));
  CALDERA_ASSIGN_OR_RETURN(const bool left, Flag(entry, "lstrip", where));
  CALDERA_ASSIGN_OR_RETURN(const bool right, Flag(entry, "rstrip", where));
  CALDERA_ASSIGN_OR_RETURN(const bool single_word, Flag(entry, "single_word", where));
  if (single_word && !added.is_special) {
    return base::Unimplemented("{}: \"single_word\" is not supported", where);
  }
  if (left)
    added.token.strips = right ? StripSides::kBoth : StripSides::kLeft;
  else if (right)
    added.token.strips = StripSides::kRight;
  return added;
}

absl::StatusOr<std::vector<AddedEntry>> ReadAdded(const Json& root, const std::string& name) {
  std::vector<AddedEntry> entries;
  const auto list = root.find("added_tokens");
  if (list == root.end() || list->is_null()) return entries;
  if (!list->is_array()) return base::InvalidArgument("{}: \"added_tokens\" is no array", name);
  for (const Json& node : *list) {
    CALDERA_ASSIGN_OR_RETURN(AddedEntry entry, ParseAdded(node, fmt::format("{}: added_tokens[{}]",
                                                                            name, entries.size())));
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string DecodeSpelling(const std::string& spelling, SymbolKind symbols,
                           const ParsedDecoder& decoder) {
  if (symbols == SymbolKind::kByte) return AlphabetToBytes(spelling).value_or(spelling);
  const std::optional<std::uint8_t> byte = ParseByteToken(spelling);
  if (decoder.byte_fallback && byte) return std::string(1, static_cast<char>(*byte));
  if (decoder.space_mark.empty()) return spelling;
  return ReplaceAll(spelling, decoder.space_mark, " ");
}

absl::StatusOr<std::vector<std::string>> DecodingTable(const RankedBpeDefinition& definition,
                                                       const std::vector<AddedEntry>& added,
                                                       const ParsedDecoder& decoder) {
  std::int32_t largest = -1;
  for (const auto& [spelling, id] : definition.vocabulary) largest = std::max(largest, id);
  for (const AddedEntry& entry : added) largest = std::max(largest, entry.token.id);
  const auto size = static_cast<std::size_t>(largest + 1);
  if (size > definition.vocabulary.size() + added.size() + kMostHoles) {
    return base::InvalidArgument("{}: the largest token id is {}, of {} tokens and {} added ones",
                                 definition.name, largest, definition.vocabulary.size(),
                                 added.size());
  }
  std::vector<std::string> table(size);
  const auto at = [&table](std::int32_t id) -> std::string& {
    return table[static_cast<std::size_t>(id)];
  };
  for (const auto& [spelling, id] : definition.vocabulary) {
    at(id) = DecodeSpelling(spelling, definition.symbols, decoder);
  }
  for (const AddedEntry& entry : added) {
    at(entry.token.id) = entry.is_special ? ""
                         : definition.symbols == SymbolKind::kByte
                             ? entry.token.content
                             : DecodeSpelling(entry.token.content, SymbolKind::kCharacter, decoder);
  }
  return table;
}

// The tokens that Encode cuts out of plain text.
absl::StatusOr<std::vector<AddedToken>> PlainAdded(
    const std::vector<AddedEntry>& added,
    const std::vector<std::unique_ptr<Normalizer>>& normalizers) {
  std::vector<AddedToken> tokens;
  for (const AddedEntry& entry : added) {
    if (entry.is_special) continue;
    tokens.push_back(entry.token);
    if (!entry.token.after_normalizers) continue;
    CALDERA_RETURN_IF_ERROR(Normalize(normalizers, &tokens.back().content));
  }
  return tokens;
}

std::optional<std::int32_t> IdOfText(const std::optional<std::string>& text,
                                     const RankedBpeDefinition& definition,
                                     const std::vector<AddedEntry>& added) {
  if (!text) return std::nullopt;
  for (const AddedEntry& entry : added) {
    if (entry.token.content == *text) return entry.token.id;
  }
  for (const auto& [spelling, id] : definition.vocabulary) {
    if (spelling == *text) return id;
  }
  return std::nullopt;
}

absl::StatusOr<SpecialTokens> FindSpecial(const TokenizerSettings& settings,
                                          const RankedBpeDefinition& definition,
                                          const std::vector<AddedEntry>& added,
                                          std::optional<std::int32_t> template_bos) {
  SpecialTokens special;
  special.bos_id = IdOfText(settings.bos_text, definition, added);
  if (!special.bos_id) special.bos_id = template_bos;
  if (!special.bos_id) special.bos_id = settings.bos_id;
  if (settings.add_bos.value_or(template_bos.has_value())) {
    if (!special.bos_id) {
      return base::InvalidArgument("{}: add_bos_token is true but there is no BOS token",
                                   definition.name);
    }
    special.bos_rule = BosRule::kPrepend;
  }
  const std::optional<std::int32_t> eos = IdOfText(settings.eos_text, definition, added);
  if (eos) special.eos_ids.push_back(*eos);
  for (const std::int32_t id : settings.eos_ids) {
    if (id != eos) special.eos_ids.push_back(id);
  }
  return special;
}

absl::StatusOr<Json> ParseRoot(const std::string& text, const std::string& name) {
  CALDERA_RETURN_IF_ERROR(base::WithContext(CheckJsonText(text), name));
  Json root = Json::parse(text, nullptr, false);
  if (!root.is_object()) return base::InvalidArgument("{}: not a JSON object", name);
  return root;
}

// See MakeWordCut; a whole piece that is a token may hold marks anywhere.
void AddWordCut(const RankedBpeDefinition& definition, BpeTokenizerParts* parts) {
  if (definition.symbols != SymbolKind::kCharacter || definition.ignore_merges) return;
  std::vector<std::string> spellings;
  for (const auto& [spelling, id] : definition.vocabulary) spellings.push_back(spelling);
  std::unique_ptr<PreTokenizer> cut = MakeWordCut(spellings);
  if (cut != nullptr) parts->pre_tokenizers.push_back(std::move(cut));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(const std::string& json,
                                                              const std::string& name,
                                                              const TokenizerSettings& settings) {
  CALDERA_ASSIGN_OR_RETURN(const Json root, ParseRoot(json, name));
  BpeTokenizerParts parts;
  parts.name = name;
  CALDERA_ASSIGN_OR_RETURN(parts.normalizers, ParseNormalizers(NodeText(root, "normalizer"), name));
  CALDERA_ASSIGN_OR_RETURN(ParsedPreTokenizers split,
                           ParsePreTokenizers(NodeText(root, "pre_tokenizer"), name));
  parts.pre_tokenizers = std::move(split.steps);
  CALDERA_ASSIGN_OR_RETURN(const ParsedDecoder decoder,
                           ParseDecoder(NodeText(root, "decoder"), name));
  CALDERA_ASSIGN_OR_RETURN(const std::optional<std::int32_t> template_bos,
                           ParseTemplateBos(NodeText(root, "post_processor"), name));
  CALDERA_ASSIGN_OR_RETURN(const RankedBpeDefinition definition,
                           ReadModel(root, name, split.symbols));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<AddedEntry> added, ReadAdded(root, name));
  CALDERA_ASSIGN_OR_RETURN(parts.encoder, MakeRankedBpe(definition));
  AddWordCut(definition, &parts);
  CALDERA_ASSIGN_OR_RETURN(parts.added_tokens, PlainAdded(added, parts.normalizers));
  CALDERA_ASSIGN_OR_RETURN(parts.decoded, DecodingTable(definition, added, decoder));
  parts.decode_strips_space = decoder.strips_space;
  CALDERA_ASSIGN_OR_RETURN(SpecialTokens special,
                           FindSpecial(settings, definition, added, template_bos));
  std::unique_ptr<Tokenizer> tokenizer =
      std::make_unique<BpeTokenizer>(std::move(parts), std::move(special));
  return tokenizer;
}

}  // namespace caldera::model
