// How a GGUF byte-level BPE splits text before merging, by the name in "tokenizer.ggml.pre".
//
// Names and expressions are llama.cpp's (src/llama-vocab.cpp), those of Llama, Mistral, Qwen2 and
// SmolLM families and of plain GPT-2. Pure.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_GGUF_PRE_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_GGUF_PRE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace caldera::model {

struct GgufPreTokenizer {
  // Each cuts the pieces of the one before it; matches and gaps both become pieces.
  std::vector<std::string> patterns;
  bool ignore_merges = false;  // RankedBpeDefinition::ignore_merges
  bool adds_bos = false;       // when the file has no add_bos_token
};

// An empty name is "default". UNIMPLEMENTED naming `file` and `pre` for an unknown one.
absl::StatusOr<GgufPreTokenizer> FindGgufPreTokenizer(const std::string& pre,
                                                      const std::string& file);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_GGUF_PRE_H_
