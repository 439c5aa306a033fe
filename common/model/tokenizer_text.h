// UTF-8 and GPT-2's byte alphabet: what every tokenizer needs of text. Pure functions.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_TEXT_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_TEXT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace caldera::model {

// Offset of the first byte that is not part of well-formed UTF-8 (no overlong forms, no surrogates,
// nothing above U+10FFFF), or nothing when all of it is.
std::optional<std::size_t> FirstInvalidUtf8(std::string_view text);

// INVALID_ARGUMENT "{what}: invalid UTF-8 at byte {offset}" unless well-formed.
absl::Status CheckUtf8(std::string_view text, const std::string& what);

// The character at `position` and its length in bytes. Preconditions: `text` is well-formed UTF-8
// and `position` is the start of a character.
struct Utf8Character {
  char32_t code = 0;
  std::size_t length = 0;
};
Utf8Character CharacterAt(std::string_view text, std::size_t position);
void AppendUtf8(char32_t code, std::string* text);

// The Unicode property White_Space.
bool IsWhiteSpace(char32_t code);

// `text` with every occurrence of `from` (not empty) replaced by `to`, left to right.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// GPT-2's spelling of bytes as printable characters: the bytes 0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF
// stand for themselves (as code points), the other 68, in order, are U+0100, U+0101, ... (so the
// space is U+0120).
std::string BytesToAlphabet(std::string_view bytes);
// Nothing when `text` has a character outside of the alphabet or is not UTF-8.
std::optional<std::string> AlphabetToBytes(std::string_view text);

// "<0x0A>", ...: the spelling of SentencePiece's byte tokens, and back (nothing for other texts).
std::string ByteTokenText(std::uint8_t byte);
std::optional<std::uint8_t> ParseByteToken(std::string_view text);

// U+2581, the mark that SentencePiece puts for a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_TEXT_H_
