#include "common/model/tokenizer_regex.h"

#include <utility>

#include "common/base/status.h"
#include "common/model/tokenizer_text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace caldera::model {
namespace {

constexpr std::string_view kWhiteSpaceMembers = R"(\t-\r\x{85}\p{Z})";

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
using MatchData = std::unique_ptr<pcre2_match_data, FreeMatchData>;

std::string ErrorText(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

// `\S` inside a class cannot be spelled as members; PCRE2's own meaning stays there.
std::string WithUnicodeWhiteSpace(const std::string& pattern) {
  std::string result;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char character = pattern[i];
    if (character == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        result +=
            in_class ? std::string(kWhiteSpaceMembers) : fmt::format("[{}]", kWhiteSpaceMembers);
      } else if (escaped == 'S' && !in_class) {
        result += fmt::format("[^{}]", kWhiteSpaceMembers);
      } else {
        result += {character, escaped};
      }
      continue;
    }
    if (character == '[' && !in_class)
      in_class = true;
    else if (character == ']' && in_class)
      in_class = false;
    result += character;
  }
  return result;
}

}  // namespace

struct TokenizerRegex::Code {
  explicit Code(pcre2_code* compiled) : handle(compiled) {}
  ~Code() { pcre2_code_free(handle); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  pcre2_code* handle;
};

TokenizerRegex::TokenizerRegex(std::unique_ptr<Code> code, std::string where)
    : code_(std::move(code)), where_(std::move(where)) {}
TokenizerRegex::~TokenizerRegex() = default;

absl::StatusOr<std::shared_ptr<const TokenizerRegex>> TokenizerRegex::Compile(
    const std::string& pattern, const std::string& where) {
  const std::string translated = WithUnicodeWhiteSpace(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* handle =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (handle == nullptr) {
    return base::InvalidArgument("{}: bad regular expression '{}': {} at {}", where, pattern,
                                 ErrorText(error), offset);
  }
  auto code = std::make_unique<Code>(handle);
  // Without JIT support the interpreter does the same, slower.
  pcre2_jit_compile(handle, PCRE2_JIT_COMPLETE);
  return std::shared_ptr<const TokenizerRegex>(new TokenizerRegex(std::move(code), where));
}

absl::StatusOr<std::shared_ptr<const TokenizerRegex>> TokenizerRegex::CompileLiteral(
    const std::string& text, const std::string& where) {
  std::string pattern;
  for (const char character : text) {
    const bool is_plain = static_cast<unsigned char>(character) >= 0x80 || character == ' ' ||
                          (character >= '0' && character <= '9') ||
                          (character >= 'A' && character <= 'Z') ||
                          (character >= 'a' && character <= 'z');
    pattern += is_plain ? std::string(1, character)
                        : fmt::format("\\x{{{:x}}}", static_cast<unsigned char>(character));
  }
  return Compile(pattern, where);
}

absl::Status TokenizerRegex::FindAll(std::string_view text, TextRange within,
                                     std::vector<TextRange>* matches) const {
  const std::string_view subject = within.of(text);
  const MatchData data(pcre2_match_data_create(1, nullptr));
  std::size_t start = 0;
  std::size_t last_end = std::string_view::npos;
  while (start <= subject.size()) {
    const int found = pcre2_match(code_->handle, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                                  subject.size(), start, PCRE2_NO_UTF_CHECK, data.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      return base::ResourceExhausted("{}: matching its regular expression failed: {}", where_,
                                     ErrorText(found));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    const TextRange match{bounds[0], bounds[1]};
    if (match.begin < start || match.end < match.begin) {  // \K within an assertion
      return base::InvalidArgument("{}: its regular expression matches backwards", where_);
    }
    if (match.size() > 0 || match.end != last_end) {
      matches->push_back({within.begin + match.begin, within.begin + match.end});
      last_end = match.end;
    }
    start = match.end;
    if (match.size() > 0) continue;
    if (start == subject.size()) break;
    start += CharacterAt(subject, start).length;
  }
  return absl::OkStatus();
}

}  // namespace caldera::model
