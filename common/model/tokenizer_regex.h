// Splitting regular expressions of tokenizers (PCRE2, Unicode properties on).
//
// The patterns are written for Oniguruma (tokenizer.json). The one difference that matters is made
// up for: `\s` and `\S` mean the Unicode property White_Space (PCRE2's also takes U+180E).
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_REGEX_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_REGEX_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caldera::model {

// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - begin; }
  std::string_view of(std::string_view text) const { return text.substr(begin, size()); }
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

// A compiled pattern. Immutable; FindAll may run on several threads at once.
class TokenizerRegex {
 public:
  // INVALID_ARGUMENT naming `where` and the position when the pattern does not compile.
  static absl::StatusOr<std::shared_ptr<const TokenizerRegex>> Compile(const std::string& pattern,
                                                                       const std::string& where);
  // A pattern that matches the text itself.
  static absl::StatusOr<std::shared_ptr<const TokenizerRegex>> CompileLiteral(
      const std::string& text, const std::string& where);
  ~TokenizerRegex();
  TokenizerRegex(const TokenizerRegex&) = delete;
  TokenizerRegex& operator=(const TokenizerRegex&) = delete;

  // Appends all matches inside `within`, left to right, not overlapping; an empty match is reported
  // unless it touches the match before it. The pattern sees nothing outside of `within`.
  // Precondition: text[within] is well-formed UTF-8. RESOURCE_EXHAUSTED naming the pattern's place
  // when matching takes more than PCRE2's limits.
  absl::Status FindAll(std::string_view text, TextRange within,
                       std::vector<TextRange>* matches) const;

 private:
  struct Code;
  TokenizerRegex(std::unique_ptr<Code> code, std::string where);

  std::unique_ptr<Code> code_;
  std::string where_;
};

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_REGEX_H_
