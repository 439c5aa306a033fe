#include "tests/fuzz/gguf_reading.h"

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/model/gguf_model.h"
#include "common/model/tokenizer_gguf.h"
#include "common/model/tokenizer_json.h"
#include "tests/fuzz/inputs.h"

namespace caldera::fuzz {
namespace {

constexpr char kText[] = "Hello  wOrld's 12345 \xE2\x96\x81\xC3\xA9\xF0\x9F\x98\x80\n\t<0x0A> abba";

void ReadModel(const std::shared_ptr<const model::GgufFile>& file) {
  const auto config = model::GgufModelConfig(*file);
  if (!config.ok()) return;
  const auto again = model::ParseModelConfig(model::ModelConfigToJson(*config), "config.json");
  CALDERA_CHECK(again.ok(), "config.json of the model: {}", base::MessageOf(again.status()));
  CALDERA_CHECK(*again == *config, "config.json of the model reads differently");
  const auto opened = model::GgufModel::Open(file);
  if (opened.ok()) ReadEveryTensor(**opened);
}

void ReadVocabulary(const model::GgufFile& file) {
  const auto vocabulary = model::GgufVocabularyOf(file.metadata(), file.name());
  if (!vocabulary.ok()) return;
  const auto tokenizer = model::MakeGgufTokenizer(*vocabulary);
  if (!tokenizer.ok()) return;
  UseTokenizer(**tokenizer, kText);
  const auto json = model::TokenizerJson(*vocabulary);
  CALDERA_CHECK(json.ok(), "no tokenizer.json: {}", base::MessageOf(json.status()));
  CALDERA_CHECK(model::TokenizerConfigJson(*vocabulary).ok(), "no tokenizer_config.json");
  const auto again = model::ParseTokenizerJson(*json, "tokenizer.json", {});
  CALDERA_CHECK(again.ok(), "{}", base::MessageOf(again.status()));
  UseTokenizer(**again, kText);
}

}  // namespace

void UseTokenizer(const model::Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.Encode(text);
  if (!ids.ok()) return;
  for (const std::int32_t id : *ids) {
    CALDERA_CHECK(id >= 0 && id < tokenizer.vocab_size(), "id {} of {}", id,
                  tokenizer.vocab_size());
  }
  tokenizer.Decode(*ids);
  tokenizer.Decode(std::vector<std::int32_t>{-1, 0, tokenizer.vocab_size()});
}

Verdict ReadGguf(std::string_view bytes) {
  absl::StatusOr<std::unique_ptr<model::GgufFile>> opened = model::GgufFile::Open(SourceOf(bytes));
  if (!opened.ok()) return Verdict::kRefused;
  const std::shared_ptr<const model::GgufFile> file = *std::move(opened);
  ReadEveryTensor(*file);
  ReadModel(file);
  ReadVocabulary(*file);
  return Verdict::kAccepted;
}

}  // namespace caldera::fuzz
