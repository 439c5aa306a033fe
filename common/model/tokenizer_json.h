// tokenizer.json (Hugging Face `tokenizers`) to a Tokenizer.
//
// Supported: model BPE (byte-level, or characters with byte fallback); normalizers NFC, Prepend,
// Replace, Strip, Sequence; pre-tokenizers ByteLevel (last), Split, Digits, Metaspace, Sequence;
// decoders ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, Sequence; post-processors are
// read for their BOS only. Everything else is UNIMPLEMENTED by name.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_JSON_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_JSON_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/bpe.h"
#include "common/model/tokenizer.h"
#include "common/model/tokenizer_steps.h"

namespace caldera::model {

// What the files beside tokenizer.json say about special tokens. Ids and texts may both be given;
// the text counts first.
struct TokenizerSettings {
  std::optional<bool> add_bos;          // tokenizer_config.json add_bos_token
  std::optional<std::string> bos_text;  // tokenizer_config.json bos_token
  std::optional<std::string> eos_text;  // tokenizer_config.json eos_token
  std::optional<std::int32_t> bos_id;   // config.json, generation_config.json bos_token_id
  std::vector<std::int32_t> eos_ids;    // the same, eos_token_id
};

// `name` is what errors call the text. INVALID_ARGUMENT names the field that is missing, of the
// wrong type or out of range.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(const std::string& json,
                                                              const std::string& name,
                                                              const TokenizerSettings& settings);

// The parts below take the JSON text of one node of tokenizer.json ("null" when absent).

absl::StatusOr<std::vector<std::unique_ptr<Normalizer>>> ParseNormalizers(const std::string& json,
                                                                          const std::string& name);

// Steps before BPE, and what BPE then starts from (kByte when the last step is ByteLevel).
struct ParsedPreTokenizers {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  SymbolKind symbols = SymbolKind::kCharacter;
};
absl::StatusOr<ParsedPreTokenizers> ParsePreTokenizers(const std::string& json,
                                                       const std::string& name);

// How ids become text again.
struct ParsedDecoder {
  std::string space_mark;      // stands for a space; empty: none
  bool byte_fallback = false;  // "<0xXX>" tokens are bytes
  bool strips_space = false;   // one leading space is taken off
};
absl::StatusOr<ParsedDecoder> ParseDecoder(const std::string& json, const std::string& name);

// The id that a TemplateProcessing puts before a single text, when it puts one there.
absl::StatusOr<std::optional<std::int32_t>> ParseTemplateBos(const std::string& json,
                                                             const std::string& name);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_JSON_H_
