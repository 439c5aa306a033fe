// Text <-> token ids, exactly as the model's own tokenizer does it.
//
// Implementations: byte-level and SentencePiece-style BPE from tokenizer.json, BPE and scored
// SentencePiece vocabularies inside GGUF (common/model/bpe_tokenizer), and SentencePiece
// `tokenizer.model` (common/model/sentencepiece_tokenizer). Thread rule: const methods are safe to
// call from several threads at once.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"

namespace caldera::model {

// Whether the tokenizer puts BOS before a text when asked for special tokens.
enum class BosRule { kNone, kPrepend };

// Ids that the tokenizer's owner decides about; Encode never emits them by itself.
struct SpecialTokens {
  std::optional<std::int32_t> bos_id;
  // kPrepend only when bos_id is set.
  BosRule bos_rule = BosRule::kNone;
  // Every id that ends a text; the first one separates the records of a .jsonl file.
  std::vector<std::int32_t> eos_ids;
};

class Tokenizer {
 public:
  explicit Tokenizer(SpecialTokens special) : special_(std::move(special)) {}
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ids of a whole text: no BOS or EOS added, special tokens written out in the text are ordinary
  // characters. INVALID_ARGUMENT with the byte offset when the text is not UTF-8. Empty text: no
  // ids.
  virtual absl::StatusOr<std::vector<std::int32_t>> Encode(const std::string& utf8) const = 0;

  // The bytes that the ids stand for. Special tokens and ids outside the vocabulary give no text.
  // Decode(Encode(x)) == x for every UTF-8 text when the tokenizer covers all bytes and does not
  // normalise; part of a text may end inside a UTF-8 character.
  virtual std::string Decode(std::span<const std::int32_t> ids) const = 0;

  // Largest id + 1. May differ from ModelConfig::vocab_size, which can be padded.
  virtual std::int32_t vocab_size() const = 0;

  const SpecialTokens& special() const { return special_; }
  const std::optional<std::int32_t>& bos_id() const { return special_.bos_id; }
  const std::vector<std::int32_t>& eos_ids() const { return special_.eos_ids; }
  // True when a window begins with BOS.
  bool adds_bos() const { return special_.bos_rule == BosRule::kPrepend && special_.bos_id; }

 private:
  SpecialTokens special_;
};

// The tokenizer of a model folder: tokenizer.json, else tokenizer.model, else the vocabulary of the
// first .gguf file. BOS rule: tokenizer_config.json "add_bos_token", else the template
// post-processor of tokenizer.json, else GGUF "tokenizer.ggml.add_bos_token", else the default of
// the vocabulary kind. BOS and EOS: tokenizer_config.json, then config.json,
// generation_config.json, GGUF metadata. NOT_FOUND ("missing tokenizer: ...") naming the set when
// there is none; INVALID_ARGUMENT naming file and field when it is malformed; UNIMPLEMENTED naming
// a component that is not supported. Reads the tokenizer files whole (Llama 3: 9 MB).
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const FileSet& files);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_H_
