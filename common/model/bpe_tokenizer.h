// A Tokenizer put together from its parts: added tokens, normalizers, pre-tokenizers, BPE,
// decoding.
#ifndef CALDERA_COMMON_MODEL_BPE_TOKENIZER_H_
#define CALDERA_COMMON_MODEL_BPE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/bpe.h"
#include "common/model/tokenizer.h"
#include "common/model/tokenizer_steps.h"

namespace caldera::model {

// A token that is cut out of the text before anything else. Special tokens ("<|eot|>") are not
// listed: Encode does not parse them. The longest match at the leftmost place wins.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  StripSides strips = StripSides::kNone;  // white space beside it that it swallows
  bool after_normalizers = false;         // looked for in the normalised text
};

struct BpeTokenizerParts {
  std::string name;  // file, for error messages
  std::vector<AddedToken> added_tokens;
  std::vector<std::unique_ptr<Normalizer>> normalizers;
  std::vector<std::unique_ptr<PreTokenizer>> pre_tokenizers;
  std::unique_ptr<PieceEncoder> encoder;  // not null
  // By id: the bytes it stands for. Empty for special tokens and holes.
  std::vector<std::string> decoded;
  // One space is taken off the front of the decoded text (the one that encoding put there).
  bool decode_strips_space = false;
};

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeTokenizerParts parts, SpecialTokens special);

  // Pieces that come again in the same text are looked up (at most 65,536 of them, 64 bytes each).
  absl::StatusOr<std::vector<std::int32_t>> Encode(const std::string& utf8) const override;
  std::string Decode(std::span<const std::int32_t> ids) const override;
  std::int32_t vocab_size() const override;

 private:
  class PieceCache;
  enum class Stage { kRaw, kNormalized };
  struct Section {
    std::string text;
    std::optional<std::int32_t> id;  // set: this added token, text unused
    bool starts_input = false;
  };
  std::vector<Section> CutAddedTokens(Section section, Stage stage) const;
  absl::Status AppendSection(Section section, PieceCache* cache,
                             std::vector<std::int32_t>* ids) const;
  absl::Status AppendText(Section section, PieceCache* cache, std::vector<std::int32_t>* ids) const;

  BpeTokenizerParts parts_;
  // Added tokens of each stage, the longest content first.
  std::vector<AddedToken> raw_tokens_;
  std::vector<AddedToken> normalized_tokens_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_BPE_TOKENIZER_H_
