// libsentencepiece behind standard types only.
//
// Its header declares absl::string_view as std::string_view, which clashes with Debian's Abseil, so
// no file may include both; this one stands between them. Internal to sentencepiece_tokenizer.
#ifndef CALDERA_COMMON_MODEL_SENTENCEPIECE_MODEL_H_
#define CALDERA_COMMON_MODEL_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace caldera::model {

// Immutable once loaded; const methods may run on several threads at once.
class SentencePieceModel {
 public:
  SentencePieceModel();
  ~SentencePieceModel();
  SentencePieceModel(const SentencePieceModel&) = delete;
  SentencePieceModel& operator=(const SentencePieceModel&) = delete;

  // All return what went wrong, empty when nothing did.
  std::string Load(const std::string& serialized);
  std::string Encode(const std::string& utf8, std::vector<std::int32_t>* ids) const;
  std::string Decode(std::span<const std::int32_t> ids, std::string* text) const;

  std::int32_t size() const;
  std::optional<std::int32_t> bos_id() const;
  std::optional<std::int32_t> eos_id() const;
  // BOS, EOS, padding and other control symbols: they have no text.
  bool IsControl(std::int32_t id) const;

 private:
  struct Processor;
  std::unique_ptr<Processor> processor_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_SENTENCEPIECE_MODEL_H_
