#include "common/model/tokenizer_gguf_pre.h"

#include <algorithm>
#include <string_view>

#include "common/base/status.h"

namespace caldera::model {
namespace {

constexpr char kGpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kLlama3[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen2[] =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The expression of Mistral NeMo's tokenizer.json, which llama.cpp approximates.
constexpr char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Family {
  std::vector<std::string_view> names;
  GgufPreTokenizer pre_tokenizer;
};

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"}, {{kLlama3}, true, true}},
      {{"smaug-bpe", "dbrx"}, {{kLlama3}, false, false}},
      {{"tekken"}, {{kTekken}, true, true}},
      {{"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"}, {{kQwen2}, false, false}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell"},
       {{R"(\p{N})", kGpt2}, false, false}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "jais"}, {{kGpt2}, false, false}},
      {{"default", ""},
       {{R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}, false, false}},
  };
  return families;
}

}  // namespace

absl::StatusOr<GgufPreTokenizer> FindGgufPreTokenizer(const std::string& pre,
                                                      const std::string& file) {
  for (const Family& family : Families()) {
    if (std::find(family.names.begin(), family.names.end(), pre) != family.names.end()) {
      return family.pre_tokenizer;
    }
  }
  return base::Unimplemented("{}: tokenizer.ggml.pre \"{}\" is not supported", file, pre);
}

}  // namespace caldera::model
