#include "common/model/sentencepiece_tokenizer.h"

#include <utility>

#include "common/base/status.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

absl::StatusOr<SpecialTokens> FindSpecial(const SentencePieceModel& model, const std::string& name,
                                          const TokenizerSettings& settings) {
  SpecialTokens special;
  special.bos_id = model.bos_id();
  if (settings.add_bos.value_or(special.bos_id.has_value())) {
    if (!special.bos_id) {
      return base::InvalidArgument("{}: add_bos_token is true but there is no BOS token", name);
    }
    special.bos_rule = BosRule::kPrepend;
  }
  const std::optional<std::int32_t> eos = model.eos_id();
  if (eos) special.eos_ids.push_back(*eos);
  for (const std::int32_t id : settings.eos_ids) {
    if (id != eos) special.eos_ids.push_back(id);
  }
  return special;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(std::unique_ptr<SentencePieceModel> model,
                                               std::string name, SpecialTokens special)
    : Tokenizer(std::move(special)), model_(std::move(model)), name_(std::move(name)) {}

absl::StatusOr<std::unique_ptr<Tokenizer>> SentencePieceTokenizer::Create(
    const std::string& serialized, const std::string& name, const TokenizerSettings& settings) {
  auto model = std::make_unique<SentencePieceModel>();
  const std::string problem = model->Load(serialized);
  if (!problem.empty()) {
    return base::InvalidArgument("{}: no SentencePiece model: {}", name, problem);
  }
  CALDERA_ASSIGN_OR_RETURN(SpecialTokens special, FindSpecial(*model, name, settings));
  return std::unique_ptr<Tokenizer>(
      new SentencePieceTokenizer(std::move(model), name, std::move(special)));
}

absl::StatusOr<std::vector<std::int32_t>> SentencePieceTokenizer::Encode(
    const std::string& utf8) const {
  CALDERA_RETURN_IF_ERROR(CheckUtf8(utf8, "text to tokenise"));
  std::vector<std::int32_t> ids;
  const std::string problem = model_->Encode(utf8, &ids);
  if (!problem.empty()) return base::Internal("{}: encoding failed: {}", name_, problem);
  return ids;
}

std::string SentencePieceTokenizer::Decode(std::span<const std::int32_t> ids) const {
  std::vector<std::int32_t> known;
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < vocab_size() && !model_->IsControl(id)) known.push_back(id);
  }
  std::string text;
  const std::string problem = model_->Decode(known, &text);
  return problem.empty() ? text : std::string();
}

}  // namespace caldera::model
