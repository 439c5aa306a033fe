// The normalizer, pre_tokenizer, decoder and post_processor nodes of tokenizer.json.
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/model/tokenizer_json.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

using Json = nlohmann::json;

constexpr int kDeepestSequence = 8;
constexpr char kGpt2Pattern[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// One node with the place that errors call it by.
struct Node {
  const Json& value;
  std::string where;
};

absl::StatusOr<std::string> StringField(const Node& node, const char* key) {
  const auto field = node.value.find(key);
  if (field == node.value.end() || !field->is_string()) {
    return base::InvalidArgument("{}: \"{}\" is missing or no string", node.where, key);
  }
  return field->get<std::string>();
}

absl::StatusOr<bool> BoolField(const Node& node, const char* key, bool fallback) {
  const auto field = node.value.find(key);
  if (field == node.value.end() || field->is_null()) return fallback;
  if (!field->is_boolean()) return base::InvalidArgument("{}: \"{}\" is no bool", node.where, key);
  return field->get<bool>();
}

absl::StatusOr<std::int64_t> IntegerField(const Node& node, const char* key) {
  const auto field = node.value.find(key);
  if (field == node.value.end() || !field->is_number_integer()) {
    return base::InvalidArgument("{}: \"{}\" is missing or no integer", node.where, key);
  }
  return field->get<std::int64_t>();
}

// Calls visit(type, node) for the node, or for the members of a Sequence (key `members`) in order.
using Visit = std::function<absl::Status(const std::string& type, const Node& node)>;
absl::Status VisitSteps(const Node& node, const char* members, const Visit& visit, int depth = 0) {
  if (node.value.is_null()) return absl::OkStatus();
  if (!node.value.is_object()) return base::InvalidArgument("{}: no object", node.where);
  CALDERA_ASSIGN_OR_RETURN(const std::string type, StringField(node, "type"));
  if (type != "Sequence") return visit(type, {node.value, node.where + "." + type});
  const auto list = node.value.find(members);
  if (list == node.value.end() || !list->is_array() || depth == kDeepestSequence) {
    return base::InvalidArgument("{}: Sequence without \"{}\", or nested too deep", node.where,
                                 members);
  }
  for (const Json& member : *list) {
    CALDERA_RETURN_IF_ERROR(VisitSteps({member, node.where}, members, visit, depth + 1));
  }
  return absl::OkStatus();
}

absl::Status VisitText(const std::string& text, const std::string& where, const char* members,
                       const Visit& visit) {
  const Json root = Json::parse(text, nullptr, false);
  if (root.is_discarded()) return base::InvalidArgument("{}: no JSON", where);
  return VisitSteps({root, where}, members, visit);
}

// "pattern": {"String": s} or {"Regex": r}.
absl::StatusOr<std::shared_ptr<const TokenizerRegex>> PatternField(const Node& node) {
  const auto field = node.value.find("pattern");
  if (field != node.value.end() && field->is_object()) {
    const Node pattern{*field, node.where + ".pattern"};
    if (field->contains("Regex")) {
      CALDERA_ASSIGN_OR_RETURN(const std::string regex, StringField(pattern, "Regex"));
      return TokenizerRegex::Compile(regex, pattern.where);
    }
    CALDERA_ASSIGN_OR_RETURN(const std::string text, StringField(pattern, "String"));
    if (!text.empty()) return TokenizerRegex::CompileLiteral(text, pattern.where);
  }
  return base::InvalidArgument("{}: \"pattern\" is missing or empty", node.where);
}

absl::StatusOr<std::unique_ptr<Normalizer>> MakeNormalizer(const std::string& type,
                                                           const Node& node) {
  if (type == "NFC") return MakeNfcNormalizer();
  if (type == "Prepend") {
    CALDERA_ASSIGN_OR_RETURN(std::string prefix, StringField(node, "prepend"));
    return MakePrependNormalizer(std::move(prefix));
  }
  if (type == "Replace") {
    CALDERA_ASSIGN_OR_RETURN(auto pattern, PatternField(node));
    CALDERA_ASSIGN_OR_RETURN(std::string content, StringField(node, "content"));
    return MakeReplaceNormalizer(std::move(pattern), std::move(content));
  }
  if (type == "Strip") {
    CALDERA_ASSIGN_OR_RETURN(const bool left, BoolField(node, "strip_left", true));
    CALDERA_ASSIGN_OR_RETURN(const bool right, BoolField(node, "strip_right", true));
    if (left) return MakeStripNormalizer(right ? StripSides::kBoth : StripSides::kLeft);
    return MakeStripNormalizer(right ? StripSides::kRight : StripSides::kNone);
  }
  return base::Unimplemented("{}: this normalizer is not supported", node.where);
}

absl::StatusOr<SplitBehavior> BehaviorField(const Node& node) {
  CALDERA_ASSIGN_OR_RETURN(const std::string behavior, StringField(node, "behavior"));
  if (behavior == "Removed") return SplitBehavior::kRemoved;
  if (behavior == "Isolated") return SplitBehavior::kIsolated;
  if (behavior == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (behavior == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (behavior == "Contiguous") return SplitBehavior::kContiguous;
  return base::InvalidArgument("{}: unknown behavior \"{}\"", node.where, behavior);
}

absl::Status AddRegexSplit(const std::string& pattern, const Node& node,
                           ParsedPreTokenizers* parsed) {
  CALDERA_ASSIGN_OR_RETURN(auto regex, TokenizerRegex::Compile(pattern, node.where));
  parsed->steps.push_back(MakeSplit(std::move(regex), SplitBehavior::kIsolated, SplitOn::kMatches));
  return absl::OkStatus();
}

absl::Status AddByteLevel(const Node& node, ParsedPreTokenizers* parsed) {
  CALDERA_ASSIGN_OR_RETURN(const bool prefix_space, BoolField(node, "add_prefix_space", true));
  CALDERA_ASSIGN_OR_RETURN(const bool use_regex, BoolField(node, "use_regex", true));
  if (prefix_space) parsed->steps.push_back(MakePrefixSpace());
  parsed->symbols = SymbolKind::kByte;
  return use_regex ? AddRegexSplit(kGpt2Pattern, node, parsed) : absl::OkStatus();
}

absl::Status AddSplit(const Node& node, ParsedPreTokenizers* parsed) {
  CALDERA_ASSIGN_OR_RETURN(auto pattern, PatternField(node));
  CALDERA_ASSIGN_OR_RETURN(const SplitBehavior behavior, BehaviorField(node));
  CALDERA_ASSIGN_OR_RETURN(const bool invert, BoolField(node, "invert", false));
  parsed->steps.push_back(
      MakeSplit(std::move(pattern), behavior, invert ? SplitOn::kGaps : SplitOn::kMatches));
  return absl::OkStatus();
}

// "prepend_scheme" since tokenizers 0.15; "add_prefix_space" before.
absl::StatusOr<MetaspaceOptions::Prepend> PrependField(const Node& node) {
  using Prepend = MetaspaceOptions::Prepend;
  if (!node.value.contains("prepend_scheme")) {
    CALDERA_ASSIGN_OR_RETURN(const bool prepends, BoolField(node, "add_prefix_space", true));
    return prepends ? Prepend::kAlways : Prepend::kNever;
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string scheme, StringField(node, "prepend_scheme"));
  if (scheme == "always") return Prepend::kAlways;
  if (scheme == "first") return Prepend::kFirst;
  if (scheme == "never") return Prepend::kNever;
  return base::InvalidArgument("{}: unknown prepend_scheme \"{}\"", node.where, scheme);
}

absl::Status AddMetaspace(const Node& node, ParsedPreTokenizers* parsed) {
  MetaspaceOptions options;
  CALDERA_ASSIGN_OR_RETURN(options.mark, StringField(node, "replacement"));
  CALDERA_ASSIGN_OR_RETURN(options.prepend, PrependField(node));
  CALDERA_ASSIGN_OR_RETURN(options.cuts_before_marks, BoolField(node, "split", true));
  CALDERA_ASSIGN_OR_RETURN(auto step, MakeMetaspace(options, node.where));
  parsed->steps.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status AddPreTokenizer(const std::string& type, const Node& node,
                             ParsedPreTokenizers* parsed) {
  if (parsed->symbols == SymbolKind::kByte) {
    return base::Unimplemented("{}: a pre-tokenizer after ByteLevel is not supported", node.where);
  }
  if (type == "ByteLevel") return AddByteLevel(node, parsed);
  if (type == "Split") return AddSplit(node, parsed);
  if (type == "Metaspace") return AddMetaspace(node, parsed);
  if (type == "Digits") {
    CALDERA_ASSIGN_OR_RETURN(const bool individual, BoolField(node, "individual_digits", false));
    return AddRegexSplit(individual ? R"(\p{N})" : R"(\p{N}+)", node, parsed);
  }
  return base::Unimplemented("{}: this pre-tokenizer is not supported", node.where);
}

absl::Status AddReplaceDecoder(const Node& node, ParsedDecoder* decoder) {
  CALDERA_ASSIGN_OR_RETURN(const std::string content, StringField(node, "content"));
  const auto pattern = node.value.find("pattern");
  if (content != " " || pattern == node.value.end() || !pattern->is_object()) {
    return base::Unimplemented("{}: only a text that becomes a space is supported", node.where);
  }
  CALDERA_ASSIGN_OR_RETURN(decoder->space_mark,
                           StringField({*pattern, node.where + ".pattern"}, "String"));
  return absl::OkStatus();
}

absl::Status AddStripDecoder(const Node& node, ParsedDecoder* decoder) {
  CALDERA_ASSIGN_OR_RETURN(const std::string content, StringField(node, "content"));
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t start, IntegerField(node, "start"));
  CALDERA_ASSIGN_OR_RETURN(const std::int64_t stop, IntegerField(node, "stop"));
  if (content != " " || start < 0 || start > 1 || stop != 0) {
    return base::Unimplemented("{}: only one leading space is supported", node.where);
  }
  decoder->strips_space = start == 1;
  return absl::OkStatus();
}

absl::Status AddMetaspaceDecoder(const Node& node, ParsedDecoder* decoder) {
  CALDERA_ASSIGN_OR_RETURN(decoder->space_mark, StringField(node, "replacement"));
  CALDERA_ASSIGN_OR_RETURN(const MetaspaceOptions::Prepend prepend, PrependField(node));
  decoder->strips_space = prepend != MetaspaceOptions::Prepend::kNever;
  return absl::OkStatus();
}

// A member of an object; null when there is none, or no object.
const Json& Member(const Json& value, const std::string& key) {
  static const Json null;
  const auto found = value.find(key);
  return found == value.end() ? null : *found;
}

// The id of the special token that the template's "single" begins with.
absl::StatusOr<std::optional<std::int32_t>> TemplateBos(const Node& node) {
  const std::optional<std::int32_t> none;
  const auto single = node.value.find("single");
  if (single == node.value.end() || !single->is_array() || single->empty()) return none;
  const Json& first = single->front();
  if (!first.is_object() || !first.contains("SpecialToken")) return none;
  const Node token{first["SpecialToken"], node.where + ".single"};
  if (!token.value.is_object()) return base::InvalidArgument("{}: no object", token.where);
  CALDERA_ASSIGN_OR_RETURN(const std::string text, StringField(token, "id"));
  const Json& ids = Member(Member(Member(node.value, "special_tokens"), text), "ids");
  if (!ids.is_array() || ids.empty() || !ids.front().is_number_integer()) {
    return base::InvalidArgument("{}: special token '{}' has no id", node.where, text);
  }
  const auto id = ids.front().get<std::int64_t>();
  if (id < 0 || id > INT32_MAX) return base::InvalidArgument("{}: id {}", node.where, id);
  return std::optional<std::int32_t>(static_cast<std::int32_t>(id));
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Normalizer>>> ParseNormalizers(const std::string& json,
                                                                          const std::string& name) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  const Visit add = [&steps](const std::string& type, const Node& node) -> absl::Status {
    CALDERA_ASSIGN_OR_RETURN(auto step, MakeNormalizer(type, node));
    steps.push_back(std::move(step));
    return absl::OkStatus();
  };
  CALDERA_RETURN_IF_ERROR(VisitText(json, name + ": normalizer", "normalizers", add));
  return steps;
}

absl::StatusOr<ParsedPreTokenizers> ParsePreTokenizers(const std::string& json,
                                                       const std::string& name) {
  ParsedPreTokenizers parsed;
  const Visit add = [&parsed](const std::string& type, const Node& node) {
    return AddPreTokenizer(type, node, &parsed);
  };
  CALDERA_RETURN_IF_ERROR(VisitText(json, name + ": pre_tokenizer", "pretokenizers", add));
  return parsed;
}

absl::StatusOr<ParsedDecoder> ParseDecoder(const std::string& json, const std::string& name) {
  ParsedDecoder decoder;
  const Visit add = [&decoder](const std::string& type, const Node& node) -> absl::Status {
    if (type == "ByteLevel" || type == "Fuse") return absl::OkStatus();
    if (type == "Replace") return AddReplaceDecoder(node, &decoder);
    if (type == "Strip") return AddStripDecoder(node, &decoder);
    if (type == "Metaspace") return AddMetaspaceDecoder(node, &decoder);
    if (type != "ByteFallback") {
      return base::Unimplemented("{}: this decoder is not supported", node.where);
    }
    decoder.byte_fallback = true;
    return absl::OkStatus();
  };
  CALDERA_RETURN_IF_ERROR(VisitText(json, name + ": decoder", "decoders", add));
  return decoder;
}

absl::StatusOr<std::optional<std::int32_t>> ParseTemplateBos(const std::string& json,
                                                             const std::string& name) {
  std::optional<std::int32_t> bos;
  const Visit look = [&bos](const std::string& type, const Node& node) -> absl::Status {
    if (type != "TemplateProcessing") return absl::OkStatus();
    CALDERA_ASSIGN_OR_RETURN(bos, TemplateBos(node));
    return absl::OkStatus();
  };
  CALDERA_RETURN_IF_ERROR(VisitText(json, name + ": post_processor", "processors", look));
  return bos;
}

}  // namespace caldera::model
