// The vocabulary of a GGUF file: to a Tokenizer, and to tokenizer.json for everything that reads
// that.
//
// Two kinds: "gpt2" (byte-level BPE; `pre` names the splitting regex, as in llama.cpp) and "llama"
// (SentencePiece: pieces with scores, merged best score first, bytes as fallback).
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_GGUF_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_GGUF_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/gguf.h"
#include "common/model/tokenizer.h"

namespace caldera::model {

// Values of "tokenizer.ggml.token_type".
enum class GgufTokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The metadata keys "tokenizer.ggml.*" as they stand in the file. A value.
struct GgufVocabulary {
  std::string name;                       // the file, for error messages
  std::string model;                      // "gpt2" or "llama"
  std::string pre;                        // "llama-bpe", "smollm", ...; empty when absent
  std::vector<std::string> tokens;        // by id; gpt2: bytes spelled in GPT-2's alphabet
  std::vector<std::int32_t> token_types;  // by id, or empty (all normal)
  std::vector<float> scores;              // by id; llama only
  std::vector<std::string> merges;        // "left right", best first; gpt2 only
  std::optional<std::int32_t> bos_id;
  std::optional<std::int32_t> eos_id;
  std::optional<std::int32_t> unknown_id;
  std::optional<bool> add_bos;           // absent: llama true, gpt2 true only for Llama 3's `pre`
  std::optional<bool> add_space_prefix;  // absent: true; llama only
  std::string chat_template;             // empty when absent
};

// Reads the metadata of a GGUF file; no tensor data. INVALID_ARGUMENT names file and key;
// NOT_FOUND ("missing tokenizer: ...") when the file has no tokenizer.ggml.model.
absl::StatusOr<GgufVocabulary> ReadGgufVocabulary(const ByteSource& file);
// The same from metadata that is read already; `name` is what errors call the file.
absl::StatusOr<GgufVocabulary> GgufVocabularyOf(const GgufMetadata& metadata,
                                                const std::string& name);

// INVALID_ARGUMENT names file and field (sizes that disagree, ids out of range, a merge of unknown
// tokens); UNIMPLEMENTED names an unknown `model` or `pre`.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const GgufVocabulary& vocabulary);

// The texts of tokenizer.json and tokenizer_config.json with which `tokenizers` and transformers'
// PreTrainedTokenizerFast give the same ids, and which LoadTokenizer reads back. Keys in a fixed
// order, deterministic. Errors as MakeGgufTokenizer.
//
// For "llama" the merges are every way to split a piece into two pieces, best score first, the
// longer left part first among the splits of one piece; equal to the scored merge as long as no two
// pieces that compete have the same score (true for trained SentencePiece BPE vocabularies).
absl::StatusOr<std::string> TokenizerJson(const GgufVocabulary& vocabulary);
absl::StatusOr<std::string> TokenizerConfigJson(const GgufVocabulary& vocabulary);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_GGUF_H_
