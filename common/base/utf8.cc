#include "common/base/utf8.h"

#include <fmt/format.h>

#include <cstdint>

namespace caldera::base {
namespace {

struct LeadByte {
  std::size_t length = 0;
  std::uint32_t bits = 0;
  std::uint32_t smallest = 0;  // smallest value that needs this length
};

LeadByte ClassifyLead(unsigned char byte) {
  if (byte < 0x80) return {1, byte, 0};
  if ((byte & 0xE0) == 0xC0) return {2, byte & 0x1FU, 0x80};
  if ((byte & 0xF0) == 0xE0) return {3, byte & 0x0FU, 0x800};
  if ((byte & 0xF8) == 0xF0) return {4, byte & 0x07U, 0x10000};
  return {};
}

std::string EscapedAscii(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
        return fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
      }
      return std::string(1, c);
  }
}

}  // namespace

std::size_t Utf8SequenceLength(const std::string& text, std::size_t position) {
  const LeadByte lead = ClassifyLead(static_cast<unsigned char>(text[position]));
  if (lead.length == 0 || position + lead.length > text.size()) return 0;
  std::uint32_t value = lead.bits;
  for (std::size_t i = 1; i < lead.length; ++i) {
    const auto byte = static_cast<unsigned char>(text[position + i]);
    if ((byte & 0xC0) != 0x80) return 0;
    value = (value << 6) | (byte & 0x3FU);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value < lead.smallest || surrogate || value > 0x10FFFF ? 0 : lead.length;
}

bool IsValidUtf8(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = Utf8SequenceLength(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string JsonQuote(const std::string& text) {
  std::string quoted = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = Utf8SequenceLength(text, at);
    if (length == 0) {
      quoted += "\xEF\xBF\xBD";
    } else if (length == 1) {
      quoted += EscapedAscii(text[at]);
    } else {
      quoted.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return quoted + "\"";
}

}  // namespace caldera::base
