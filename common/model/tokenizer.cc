#include "common/model/tokenizer.h"

#include <algorithm>

#include "common/base/status.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "common/model/sentencepiece_tokenizer.h"
#include "common/model/tokenizer_gguf.h"
#include "common/model/tokenizer_json.h"

namespace caldera::model {
namespace {

constexpr std::uint64_t kLargestTokenizer = std::uint64_t{256} << 20;
constexpr std::uint64_t kLargestConfig = std::uint64_t{16} << 20;

bool Contains(const std::vector<FileSet::Entry>& entries, const std::string& name) {
  return std::any_of(entries.begin(), entries.end(),
                     [&name](const FileSet::Entry& entry) { return entry.name == name; });
}

// A special token is a string, or an object with "content" (an AddedToken).
absl::StatusOr<std::optional<std::string>> TokenField(const JsonObject& object,
                                                      const std::string& key) {
  if (!object.Has(key)) return std::optional<std::string>();
  const absl::StatusOr<JsonObject> token = object.Object(key);
  absl::StatusOr<std::string> text = token.ok() ? token->String("content") : object.String(key);
  if (!text.ok()) return text.status();
  return std::optional<std::string>(*std::move(text));
}

absl::Status ReadTokenizerConfig(const FileSet& files, TokenizerSettings* settings) {
  const std::string file = "tokenizer_config.json";
  CALDERA_ASSIGN_OR_RETURN(const std::string text, ReadText(files, file, kLargestConfig));
  CALDERA_ASSIGN_OR_RETURN(const JsonObject config,
                           JsonObject::Parse(text, files.name() + "/" + file));
  CALDERA_ASSIGN_OR_RETURN(settings->add_bos, config.FindBool("add_bos_token"));
  CALDERA_ASSIGN_OR_RETURN(settings->bos_text, TokenField(config, "bos_token"));
  CALDERA_ASSIGN_OR_RETURN(settings->eos_text, TokenField(config, "eos_token"));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::int32_t>> IdsField(const JsonObject& config,
                                                   const std::string& key) {
  std::vector<std::int32_t> ids;
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::int64_t> values, config.AnyIntegers(key));
  for (const std::int64_t value : values) {
    if (value < 0 || value > INT32_MAX) {
      return base::InvalidArgument("{}: {} {} is no token id", config.name(), key, value);
    }
    ids.push_back(static_cast<std::int32_t>(value));
  }
  return ids;
}

// config.json or generation_config.json; what is known already stays.
absl::Status ReadModelIds(const FileSet& files, const std::string& file,
                          TokenizerSettings* settings) {
  CALDERA_ASSIGN_OR_RETURN(const std::string text, ReadText(files, file, kLargestConfig));
  CALDERA_ASSIGN_OR_RETURN(const JsonObject config,
                           JsonObject::Parse(text, files.name() + "/" + file));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::int32_t> bos, IdsField(config, "bos_token_id"));
  if (!settings->bos_id && !bos.empty()) settings->bos_id = bos.front();
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::int32_t> eos, IdsField(config, "eos_token_id"));
  for (const std::int32_t id : eos) {
    auto& known = settings->eos_ids;
    if (std::find(known.begin(), known.end(), id) == known.end()) known.push_back(id);
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenizerSettings> ReadSettings(const FileSet& files,
                                               const std::vector<FileSet::Entry>& entries) {
  TokenizerSettings settings;
  if (Contains(entries, "tokenizer_config.json")) {
    CALDERA_RETURN_IF_ERROR(ReadTokenizerConfig(files, &settings));
  }
  for (const char* file : {"config.json", "generation_config.json"}) {
    if (!Contains(entries, file)) continue;
    CALDERA_RETURN_IF_ERROR(ReadModelIds(files, file, &settings));
  }
  return settings;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const FileSet& files) {
  CALDERA_ASSIGN_OR_RETURN(const std::vector<FileSet::Entry> entries, files.List());
  CALDERA_ASSIGN_OR_RETURN(const TokenizerSettings settings, ReadSettings(files, entries));
  const std::string folder = files.name() + "/";
  if (Contains(entries, "tokenizer.json")) {
    CALDERA_ASSIGN_OR_RETURN(const std::string text,
                             ReadText(files, "tokenizer.json", kLargestTokenizer));
    return ParseTokenizerJson(text, folder + "tokenizer.json", settings);
  }
  if (Contains(entries, "tokenizer.model")) {
    CALDERA_ASSIGN_OR_RETURN(const std::string bytes,
                             ReadText(files, "tokenizer.model", kLargestTokenizer));
    return SentencePieceTokenizer::Create(bytes, folder + "tokenizer.model", settings);
  }
  for (const FileSet::Entry& entry : entries) {
    if (!entry.name.ends_with(".gguf")) continue;
    CALDERA_ASSIGN_OR_RETURN(const auto file, files.Open(entry.name));
    CALDERA_ASSIGN_OR_RETURN(const GgufVocabulary vocabulary, ReadGgufVocabulary(*file));
    return MakeGgufTokenizer(vocabulary);
  }
  return base::NotFound("missing tokenizer: {} has neither tokenizer.json nor tokenizer.model",
                        files.name());
}

}  // namespace caldera::model
