#include "common/model/tokenizer_gguf.h"

#include <type_traits>
#include <utility>

#include "common/base/status.h"
#include "common/model/bpe_tokenizer.h"
#include "common/model/gguf.h"
#include "common/model/tokenizer_gguf_pre.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

constexpr char kPrefix[] = "tokenizer.ggml.";

GgufTokenType TypeOf(const GgufVocabulary& vocabulary, std::size_t id) {
  if (vocabulary.token_types.empty()) return GgufTokenType::kNormal;
  return static_cast<GgufTokenType>(vocabulary.token_types[id]);
}

bool HasText(GgufTokenType type) {
  return type != GgufTokenType::kControl && type != GgufTokenType::kUnknown;
}

absl::Status CheckTokens(const GgufVocabulary& vocabulary) {
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    CALDERA_RETURN_IF_ERROR(CheckUtf8(
        vocabulary.tokens[id], fmt::format("{}: {}tokens[{}]", vocabulary.name, kPrefix, id)));
    const auto type = static_cast<std::int32_t>(TypeOf(vocabulary, id));
    if (type < 0 || type > static_cast<std::int32_t>(GgufTokenType::kByte)) {
      return base::InvalidArgument("{}: {}token_type[{}] is {}", vocabulary.name, kPrefix, id,
                                   type);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckId(const GgufVocabulary& vocabulary, const char* key,
                     std::optional<std::int32_t> id) {
  if (!id || (*id >= 0 && static_cast<std::size_t>(*id) < vocabulary.tokens.size())) {
    return absl::OkStatus();
  }
  return base::InvalidArgument("{}: {}{} {} is outside of the {} tokens", vocabulary.name, kPrefix,
                               key, *id, vocabulary.tokens.size());
}

absl::Status Check(const GgufVocabulary& vocabulary) {
  if (vocabulary.tokens.empty()) {
    return base::InvalidArgument("{}: {}tokens is empty", vocabulary.name, kPrefix);
  }
  if (!vocabulary.token_types.empty() &&
      vocabulary.token_types.size() != vocabulary.tokens.size()) {
    return base::InvalidArgument("{}: {}token_type has {} entries for {} tokens", vocabulary.name,
                                 kPrefix, vocabulary.token_types.size(), vocabulary.tokens.size());
  }
  CALDERA_RETURN_IF_ERROR(CheckId(vocabulary, "bos_token_id", vocabulary.bos_id));
  CALDERA_RETURN_IF_ERROR(CheckId(vocabulary, "eos_token_id", vocabulary.eos_id));
  CALDERA_RETURN_IF_ERROR(CheckId(vocabulary, "unknown_token_id", vocabulary.unknown_id));
  CALDERA_RETURN_IF_ERROR(
      CheckUtf8(vocabulary.chat_template, vocabulary.name + ": tokenizer.chat_template"));
  return CheckTokens(vocabulary);
}

std::vector<AddedToken> UserDefined(const GgufVocabulary& vocabulary) {
  std::vector<AddedToken> added;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (TypeOf(vocabulary, id) != GgufTokenType::kUserDefined) continue;
    AddedToken token;
    token.content = vocabulary.tokens[id];
    token.id = static_cast<std::int32_t>(id);
    added.push_back(std::move(token));
  }
  return added;
}

absl::StatusOr<SpecialTokens> FindSpecial(const GgufVocabulary& vocabulary, bool adds_bos) {
  SpecialTokens special;
  special.bos_id = vocabulary.bos_id;
  if (vocabulary.eos_id) special.eos_ids.push_back(*vocabulary.eos_id);
  if (vocabulary.add_bos.value_or(adds_bos && vocabulary.bos_id)) {
    if (!vocabulary.bos_id) {
      return base::InvalidArgument("{}: {}add_bos_token without {}bos_token_id", vocabulary.name,
                                   kPrefix, kPrefix);
    }
    special.bos_rule = BosRule::kPrepend;
  }
  return special;
}

absl::StatusOr<RankedBpeDefinition> RankedDefinition(const GgufVocabulary& vocabulary,
                                                     const GgufPreTokenizer& pre) {
  RankedBpeDefinition definition;
  definition.name = vocabulary.name;
  definition.ignore_merges = pre.ignore_merges;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    definition.vocabulary.emplace_back(vocabulary.tokens[id], static_cast<std::int32_t>(id));
  }
  for (std::size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string& merge = vocabulary.merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos) {
      return base::InvalidArgument("{}: {}merges[{}] has no space", vocabulary.name, kPrefix, i);
    }
    definition.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return definition;
}

absl::StatusOr<BpeTokenizerParts> ByteLevelParts(const GgufVocabulary& vocabulary,
                                                 const GgufPreTokenizer& pre) {
  BpeTokenizerParts parts;
  for (const std::string& pattern : pre.patterns) {
    CALDERA_ASSIGN_OR_RETURN(
        auto regex, TokenizerRegex::Compile(pattern, vocabulary.name + ": tokenizer.ggml.pre"));
    parts.pre_tokenizers.push_back(
        MakeSplit(std::move(regex), SplitBehavior::kIsolated, SplitOn::kMatches));
  }
  CALDERA_ASSIGN_OR_RETURN(const RankedBpeDefinition definition, RankedDefinition(vocabulary, pre));
  CALDERA_ASSIGN_OR_RETURN(parts.encoder, MakeRankedBpe(definition));
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    const GgufTokenType type = TypeOf(vocabulary, id);
    if (!HasText(type))
      parts.decoded.emplace_back();
    else if (type == GgufTokenType::kUserDefined)
      parts.decoded.push_back(token);
    else
      parts.decoded.push_back(AlphabetToBytes(token).value_or(token));
  }
  return parts;
}

std::string DecodePiece(const std::string& token, GgufTokenType type) {
  if (!HasText(type)) return "";
  const std::optional<std::uint8_t> byte = ParseByteToken(token);
  if (byte && type == GgufTokenType::kByte) return std::string(1, static_cast<char>(*byte));
  return ReplaceAll(token, kSpaceMark, " ");
}

absl::StatusOr<BpeTokenizerParts> ScoredParts(const GgufVocabulary& vocabulary) {
  BpeTokenizerParts parts;
  const bool adds_space = vocabulary.add_space_prefix.value_or(true);
  const std::string mark(kSpaceMark);
  if (adds_space) parts.normalizers.push_back(MakePrependNormalizer(mark));
  CALDERA_ASSIGN_OR_RETURN(auto space, TokenizerRegex::CompileLiteral(" ", vocabulary.name));
  parts.normalizers.push_back(MakeReplaceNormalizer(std::move(space), mark));
  std::unique_ptr<PreTokenizer> cut = MakeWordCut(vocabulary.tokens);
  if (cut != nullptr) parts.pre_tokenizers.push_back(std::move(cut));
  CALDERA_ASSIGN_OR_RETURN(parts.encoder,
                           MakeScoredBpe({vocabulary.name, vocabulary.tokens, vocabulary.scores,
                                          vocabulary.unknown_id}));
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    parts.decoded.push_back(DecodePiece(vocabulary.tokens[id], TypeOf(vocabulary, id)));
  }
  parts.decode_strips_space = adds_space;
  return parts;
}

// A value of metadata, which are 64-bit, as the type that is worked with.
template <typename Stored, typename Value>
absl::Status Narrow(const Stored& stored, const std::string& where, Value* value) {
  if constexpr (std::is_same_v<Stored, std::int64_t>) {
    if (!std::in_range<Value>(stored)) {
      return base::InvalidArgument("{}: {} is out of range", where, stored);
    }
  }
  *value = static_cast<Value>(stored);
  return absl::OkStatus();
}

// Reads one optional key into `*value`.
template <typename Stored, typename Value>
absl::Status Take(const GgufMetadata& metadata, const std::string& name, const char* key,
                  std::optional<Value>* value) {
  CALDERA_ASSIGN_OR_RETURN(const std::optional<Stored> found,
                           metadata.Find<Stored>(std::string(kPrefix) + key));
  if (!found) return absl::OkStatus();
  return Narrow(*found, fmt::format("{}: {}{}", name, kPrefix, key), &value->emplace());
}

// Reads one optional array into `*values`.
template <typename Stored, typename Value>
absl::Status TakeArray(const GgufMetadata& metadata, const std::string& name, const char* key,
                       std::vector<Value>* values) {
  CALDERA_ASSIGN_OR_RETURN(const std::optional<std::vector<Stored>> found,
                           metadata.Find<std::vector<Stored>>(std::string(kPrefix) + key));
  if (!found) return absl::OkStatus();
  const std::string where = fmt::format("{}: {}{}", name, kPrefix, key);
  values->reserve(found->size());
  for (const Stored& item : *found) {
    CALDERA_RETURN_IF_ERROR(Narrow(item, where, &values->emplace_back()));
  }
  return absl::OkStatus();
}

absl::Status TakeSpecial(const GgufMetadata& metadata, GgufVocabulary* vocabulary) {
  CALDERA_RETURN_IF_ERROR(
      Take<std::int64_t>(metadata, vocabulary->name, "bos_token_id", &vocabulary->bos_id));
  CALDERA_RETURN_IF_ERROR(
      Take<std::int64_t>(metadata, vocabulary->name, "eos_token_id", &vocabulary->eos_id));
  CALDERA_RETURN_IF_ERROR(
      Take<std::int64_t>(metadata, vocabulary->name, "unknown_token_id", &vocabulary->unknown_id));
  CALDERA_RETURN_IF_ERROR(
      Take<bool>(metadata, vocabulary->name, "add_bos_token", &vocabulary->add_bos));
  return Take<bool>(metadata, vocabulary->name, "add_space_prefix", &vocabulary->add_space_prefix);
}

// llama.cpp's defaults for SentencePiece files that do not name them.
void FillScoredDefaults(GgufVocabulary* vocabulary) {
  if (vocabulary->model != "llama" || vocabulary->tokens.size() < 3) return;
  if (!vocabulary->unknown_id) vocabulary->unknown_id = 0;
  if (!vocabulary->bos_id) vocabulary->bos_id = 1;
  if (!vocabulary->eos_id) vocabulary->eos_id = 2;
}

}  // namespace

absl::StatusOr<GgufVocabulary> ReadGgufVocabulary(const ByteSource& file) {
  CALDERA_ASSIGN_OR_RETURN(const GgufHeader header, ParseGgufHeader(file));
  return GgufVocabularyOf(header.metadata, file.name());
}

absl::StatusOr<GgufVocabulary> GgufVocabularyOf(const GgufMetadata& metadata,
                                                const std::string& name) {
  if (!metadata.Has("tokenizer.ggml.model")) {
    return base::NotFound("missing tokenizer: {} has no tokenizer.ggml.model", name);
  }
  GgufVocabulary vocabulary;
  vocabulary.name = name;
  CALDERA_ASSIGN_OR_RETURN(vocabulary.model, metadata.Get<std::string>("tokenizer.ggml.model"));
  CALDERA_ASSIGN_OR_RETURN(const auto pre, metadata.Find<std::string>("tokenizer.ggml.pre"));
  vocabulary.pre = pre.value_or("");
  CALDERA_ASSIGN_OR_RETURN(const auto chat, metadata.Find<std::string>("tokenizer.chat_template"));
  vocabulary.chat_template = chat.value_or("");
  CALDERA_RETURN_IF_ERROR(TakeArray<std::string>(metadata, name, "tokens", &vocabulary.tokens));
  CALDERA_RETURN_IF_ERROR(
      TakeArray<std::int64_t>(metadata, name, "token_type", &vocabulary.token_types));
  CALDERA_RETURN_IF_ERROR(TakeArray<double>(metadata, name, "scores", &vocabulary.scores));
  CALDERA_RETURN_IF_ERROR(TakeArray<std::string>(metadata, name, "merges", &vocabulary.merges));
  CALDERA_RETURN_IF_ERROR(TakeSpecial(metadata, &vocabulary));
  FillScoredDefaults(&vocabulary);
  return vocabulary;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const GgufVocabulary& vocabulary) {
  CALDERA_RETURN_IF_ERROR(Check(vocabulary));
  BpeTokenizerParts parts;
  bool adds_bos = true;
  if (vocabulary.model == "gpt2") {
    CALDERA_ASSIGN_OR_RETURN(const GgufPreTokenizer pre,
                             FindGgufPreTokenizer(vocabulary.pre, vocabulary.name));
    adds_bos = pre.adds_bos;
    CALDERA_ASSIGN_OR_RETURN(parts, ByteLevelParts(vocabulary, pre));
  } else if (vocabulary.model == "llama") {
    CALDERA_ASSIGN_OR_RETURN(parts, ScoredParts(vocabulary));
  } else {
    return base::Unimplemented("{}: {}model \"{}\" is not supported", vocabulary.name, kPrefix,
                               vocabulary.model);
  }
  parts.name = vocabulary.name;
  parts.added_tokens = UserDefined(vocabulary);
  CALDERA_ASSIGN_OR_RETURN(SpecialTokens special, FindSpecial(vocabulary, adds_bos));
  std::unique_ptr<Tokenizer> tokenizer =
      std::make_unique<BpeTokenizer>(std::move(parts), std::move(special));
  return tokenizer;
}

}  // namespace caldera::model
