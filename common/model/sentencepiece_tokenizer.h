// SentencePiece `tokenizer.model` files, through libsentencepiece.
#ifndef CALDERA_COMMON_MODEL_SENTENCEPIECE_TOKENIZER_H_
#define CALDERA_COMMON_MODEL_SENTENCEPIECE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/sentencepiece_model.h"
#include "common/model/tokenizer.h"
#include "common/model/tokenizer_json.h"

namespace caldera::model {

// BPE and unigram models; normalisation as the model says (Llama 2: none).
class SentencePieceTokenizer final : public Tokenizer {
 public:
  // `serialized` are the bytes of the file, `name` what errors call it. INVALID_ARGUMENT when it is
  // no model. BOS is added when settings.add_bos says so; when it says nothing, if the model has a
  // BOS.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(const std::string& serialized,
                                                           const std::string& name,
                                                           const TokenizerSettings& settings);

  absl::StatusOr<std::vector<std::int32_t>> Encode(const std::string& utf8) const override;
  // The leading space that encoding adds is taken off.
  std::string Decode(std::span<const std::int32_t> ids) const override;
  std::int32_t vocab_size() const override { return model_->size(); }

 private:
  SentencePieceTokenizer(std::unique_ptr<SentencePieceModel> model, std::string name,
                         SpecialTokens special);

  std::unique_ptr<SentencePieceModel> model_;
  std::string name_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_SENTENCEPIECE_TOKENIZER_H_
