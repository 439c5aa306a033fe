// Input: a tokenizer.json, then, after a NUL, a text to encode.
#include "common/model/tokenizer_json.h"
#include "tests/fuzz/gguf_reading.h"
#include "tests/fuzz/inputs.h"
#include "tests/fuzz/targets.h"

namespace caldera::fuzz {
namespace {

Verdict Run(const std::string& input) {
  const std::vector<std::string> parts = Parts(input, '\0', 2);
  model::TokenizerSettings settings;
  settings.bos_text = "<s>";
  settings.eos_text = "</s>";
  settings.eos_ids = {0, 2147483647};
  const auto tokenizer = model::ParseTokenizerJson(parts[0], "tokenizer.json", settings);
  if (!tokenizer.ok()) return Verdict::kRefused;
  UseTokenizer(**tokenizer, parts[1]);
  UseTokenizer(**tokenizer, "a ab\xE2\x96\x81  1 Zoe\xCC\x88 \xED\x95\x9C\n<0x41>");
  return Verdict::kAccepted;
}

constexpr char kByteLevel[] = R"j({
 "added_tokens": [{"id": 5, "content": "<s>", "special": true},
                  {"id": 7, "content": "abba", "lstrip": true, "rstrip": true, "normalized": true}],
 "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"},
   {"type": "Prepend", "prepend": "a"},
   {"type": "Replace", "pattern": {"String": "z"}, "content": "ab"}]},
 "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
   {"type": "Split", "pattern": {"Regex": "\\s+|a(?=b)"}, "behavior": "Isolated", "invert": false},
   {"type": "Digits", "individual_digits": true},
   {"type": "ByteLevel", "add_prefix_space": true, "use_regex": false}]},
 "post_processor": {"type": "TemplateProcessing",
   "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
   "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
 "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "ignore_merges": true,
   "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4},
   "merges": [["a", "b"], "\u0120 a"]}})j";

constexpr char kCharacters[] = R"({
 "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first",
                   "split": true},
 "decoder": {"type": "Sequence", "decoders": [
   {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
   {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
 "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
   "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "b": 3, "\u2581a": 4, "<0x0A>": 5, "ab": 6},
   "merges": ["\u2581 a", "a b"]}})";

std::string With(const std::string& text, const std::string& from, const std::string& to) {
  std::string changed = text;
  return changed.replace(changed.find(from), from.size(), to);
}

std::vector<Seed> Seeds() {
  const std::string nul(1, '\0');
  const std::string bytes = kByteLevel;
  return {{"byte_level", Verdict::kAccepted, bytes + nul + "abba aab 12  z"},
          {"characters", Verdict::kAccepted, kCharacters + nul + "a ab \n\xC3\xA9"},
          {"text_of_no_utf8", Verdict::kAccepted, bytes + nul + "\xFF"},
          {"merged_splits", Verdict::kAccepted, With(bytes, "Isolated", "MergedWithPrevious")},
          {"bad_expression", Verdict::kRefused, With(bytes, "(?=b)", "(?=b")},
          {"unknown_merge", Verdict::kRefused, With(bytes, R"(["a", "b"])", R"(["a", "q"])")},
          {"id_beyond_the_vocabulary", Verdict::kRefused, With(bytes, ": 4}", ": 16777215}")},
          {"template_of_a_list", Verdict::kRefused,
           With(With(bytes, R"({"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}})", "[]"),
                R"({"SpecialToken": {"id": "<s>")", R"({"SpecialToken": {"id": "")")},
          {"deep", Verdict::kRefused,
           R"({"normalizer":)" + std::string(200, '[') + std::string(200, ']') + "}"}};
}

}  // namespace

Target TokenizerJsonTarget() { return {"tokenizer_json", Run, Seeds}; }

}  // namespace caldera::fuzz
