// Input: a calibration text, read as plain text, as .jsonl records and as .ids.
#include "common/base/check.h"
#include "common/model/calibration_text.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer_json.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

constexpr char kTokenizer[] = R"({
 "added_tokens": [{"id": 5, "content": "<s>", "special": true}],
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
 "post_processor": {"type": "TemplateProcessing",
   "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}],
   "special_tokens": {"<s>": {"ids": [5]}}},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4},
   "merges": ["a b", "\u0120 a"]}})";

const model::Tokenizer& TestTokenizer() {
  static const std::unique_ptr<model::Tokenizer> tokenizer = [] {
    model::TokenizerSettings settings;
    settings.eos_ids = {5};
    return *model::ParseTokenizerJson(kTokenizer, "tokenizer.json", settings);
  }();
  return *tokenizer;
}

void CutWindows(const std::vector<std::int32_t>& ids) {
  const model::Tokenizer& tokenizer = TestTokenizer();
  for (const std::int32_t id : ids) {
    CALDERA_CHECK(id >= 0 && id < tokenizer.vocab_size(), "id {}", id);
  }
  model::CalibrationOptions options;
  options.samples = 3;
  options.seq_len = 4;
  const auto windows = model::CalibrationWindows(ids, tokenizer, options);
  if (!windows.ok()) return;
  CALDERA_CHECK(windows->ids.size() == 12, "{} ids in 3 windows of 4", windows->ids.size());
}

Verdict Run(const std::string& input) {
  Verdict verdict = Verdict::kRefused;
  const auto view = std::as_bytes(std::span(input));
  for (const char* name : {"text.txt", "text.jsonl", "text.ids"}) {
    const model::MemoryByteSource file(name, std::vector<std::byte>(view.begin(), view.end()));
    const auto ids = model::TokenizeFile(file, TestTokenizer());
    if (!ids.ok()) continue;
    verdict = Verdict::kAccepted;
    CutWindows(*ids);
  }
  return verdict;
}

std::vector<Seed> Seeds() {
  return {{"plain", Verdict::kAccepted, "ab a abab a b a aab aab ab ab ab ab"},
          {"records", Verdict::kAccepted,
           "{\"text\": \"ab a\"}\n\n{\"text\": \"a\\u00e9b\", \"other\": [1]}\r\n"},
          {"ids", Verdict::kAccepted, "0 1 2 3 4\n5\t0 1 2 3 0 0"},
          {"no_utf8", Verdict::kRefused, "\xC3("}};
}

}  // namespace

Target CalibrationTextTarget() { return {"calibration_text", Run, Seeds}; }

}  // namespace caldera::fuzz
