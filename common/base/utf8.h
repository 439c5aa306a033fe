// UTF-8 as outside bytes: validity, and JSON strings that any parser accepts.
#ifndef CALDERA_COMMON_BASE_UTF8_H_
#define CALDERA_COMMON_BASE_UTF8_H_

#include <cstddef>
#include <string>

namespace caldera::base {

// Length in bytes (1..4) of the well-formed UTF-8 sequence at `position` (< text.size()), or 0 when
// there is none: overlong forms, surrogates and values above U+10FFFF are not well-formed (RFC
// 3629).
std::size_t Utf8SequenceLength(const std::string& text, std::size_t position);
bool IsValidUtf8(const std::string& text);

// `text` in double quotes, escaped for JSON (RFC 8259); each byte that is not part of well-formed
// UTF-8 becomes U+FFFD.
std::string JsonQuote(const std::string& text);

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_UTF8_H_
