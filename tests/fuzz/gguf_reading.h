// What the two GGUF targets do with a file: everything that the product takes out of one.
#ifndef CALDERA_TESTS_FUZZ_GGUF_READING_H_
#define CALDERA_TESTS_FUZZ_GGUF_READING_H_

#include <string_view>

#include "common/model/tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

namespace caldera::fuzz {

// Tensors, model configuration, model and vocabulary of a GGUF file; checks that configuration and
// tokenizer survive being written as config.json and tokenizer.json. kAccepted when header and
// tensors are fine.
Verdict ReadGguf(std::string_view bytes);

// Encodes and decodes `text`; checks that ids are within the vocabulary.
void UseTokenizer(const model::Tokenizer& tokenizer, const std::string& text);

}  // namespace caldera::fuzz

#endif  // CALDERA_TESTS_FUZZ_GGUF_READING_H_
