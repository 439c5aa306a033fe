#include "common/model/sentencepiece_model.h"

#include <sentencepiece_processor.h>

namespace caldera::model {
namespace {

std::string Problem(const sentencepiece::util::Status& status) {
  return status.ok() ? "" : status.ToString();
}

std::optional<std::int32_t> IdOrNone(int id) {
  if (id < 0) return std::nullopt;
  return id;
}

}  // namespace

struct SentencePieceModel::Processor {
  sentencepiece::SentencePieceProcessor value;
};

SentencePieceModel::SentencePieceModel() : processor_(std::make_unique<Processor>()) {}
SentencePieceModel::~SentencePieceModel() = default;

std::string SentencePieceModel::Load(const std::string& serialized) {
  return Problem(processor_->value.LoadFromSerializedProto(serialized));
}

std::string SentencePieceModel::Encode(const std::string& utf8,
                                       std::vector<std::int32_t>* ids) const {
  std::vector<int> encoded;
  const std::string problem = Problem(processor_->value.Encode(utf8, &encoded));
  ids->assign(encoded.begin(), encoded.end());
  return problem;
}

std::string SentencePieceModel::Decode(std::span<const std::int32_t> ids, std::string* text) const {
  return Problem(processor_->value.Decode(std::vector<int>(ids.begin(), ids.end()), text));
}

std::int32_t SentencePieceModel::size() const { return processor_->value.GetPieceSize(); }

std::optional<std::int32_t> SentencePieceModel::bos_id() const {
  return IdOrNone(processor_->value.bos_id());
}

std::optional<std::int32_t> SentencePieceModel::eos_id() const {
  return IdOrNone(processor_->value.eos_id());
}

bool SentencePieceModel::IsControl(std::int32_t id) const {
  return processor_->value.IsControl(id);
}

}  // namespace caldera::model
