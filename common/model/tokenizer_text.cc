#include "common/model/tokenizer_text.h"

#include <algorithm>
#include <vector>

#include "common/base/status.h"

namespace caldera::model {
namespace {

std::uint8_t ByteAt(std::string_view text, std::size_t position) {
  return static_cast<std::uint8_t>(text[position]);
}

// Length that the first byte announces; 0 when no character begins with it.
std::size_t AnnouncedLength(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  if (first < 0xE0) return 2;
  if (first < 0xF0) return 3;
  return first < 0xF5 ? 4 : 0;
}

bool IsContinuation(std::uint8_t byte) { return (byte & 0xC0) == 0x80; }

// The second byte's range excludes overlong forms, surrogates and code points above U+10FFFF.
bool SecondByteFits(std::uint8_t first, std::uint8_t second) {
  if (first == 0xE0) return second >= 0xA0;
  if (first == 0xED) return second < 0xA0;
  if (first == 0xF0) return second >= 0x90;
  if (first == 0xF4) return second < 0x90;
  return true;
}

std::size_t ValidLength(std::string_view text, std::size_t position) {
  const std::size_t length = AnnouncedLength(ByteAt(text, position));
  if (length == 0 || length > text.size() - position) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!IsContinuation(ByteAt(text, position + i))) return 0;
  }
  if (length > 1 && !SecondByteFits(ByteAt(text, position), ByteAt(text, position + 1))) return 0;
  return length;
}

bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::array<char32_t, 256> MakeAlphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<std::size_t>(byte)] =
        StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return alphabet;
}

const std::array<char32_t, 256>& Alphabet() {
  static const std::array<char32_t, 256> alphabet = MakeAlphabet();
  return alphabet;
}

std::vector<int> MakeInverseAlphabet() {
  std::vector<int> inverse(0x144, -1);
  for (std::size_t byte = 0; byte < 256; ++byte) inverse[Alphabet()[byte]] = static_cast<int>(byte);
  return inverse;
}

const std::vector<int>& InverseAlphabet() {
  static const std::vector<int> inverse = MakeInverseAlphabet();
  return inverse;
}

}  // namespace

std::optional<std::size_t> FirstInvalidUtf8(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t length = ValidLength(text, position);
    if (length == 0) return position;
    position += length;
  }
  return std::nullopt;
}

absl::Status CheckUtf8(std::string_view text, const std::string& what) {
  const std::optional<std::size_t> offset = FirstInvalidUtf8(text);
  if (!offset) return absl::OkStatus();
  return base::InvalidArgument("{}: invalid UTF-8 at byte {}", what, *offset);
}

Utf8Character CharacterAt(std::string_view text, std::size_t position) {
  const std::uint8_t first = ByteAt(text, position);
  const std::size_t length = std::max<std::size_t>(1, AnnouncedLength(first));
  if (length == 1) return {first, 1};
  char32_t code = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (ByteAt(text, position + i) & 0x3Fu);
  return {code, length};
}

void AppendUtf8(char32_t code, std::string* text) {
  const auto put = [text](char32_t byte) { text->push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

bool IsWhiteSpace(char32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size());
  std::size_t position = 0;
  for (;;) {
    const std::size_t hit = text.find(from, position);
    result += text.substr(position, hit - position);
    if (hit == std::string_view::npos) return result;
    result += to;
    position = hit + from.size();
  }
}

std::string BytesToAlphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) AppendUtf8(Alphabet()[static_cast<std::uint8_t>(byte)], &text);
  return text;
}

std::optional<std::string> AlphabetToBytes(std::string_view text) {
  if (FirstInvalidUtf8(text)) return std::nullopt;
  std::string bytes;
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Character character = CharacterAt(text, position);
    if (character.code >= InverseAlphabet().size()) return std::nullopt;
    const int byte = InverseAlphabet()[character.code];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    position += character.length;
  }
  return bytes;
}

std::string ByteTokenText(std::uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

std::optional<std::uint8_t> ParseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  int value = 0;
  for (const char digit : text.substr(3, 2)) {
    const std::size_t index = std::string_view("0123456789ABCDEF").find(digit);
    if (index == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(index);
  }
  return static_cast<std::uint8_t>(value);
}

}  // namespace caldera::model
