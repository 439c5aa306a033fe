// Unicode normalisation form C (Unicode Standard Annex 15), which Qwen2's tokenizer asks for.
//
// Data: canonical decompositions and combining classes of Unicode 14.0 (tokenizer_nfc_tables.cc and
// tokenizer_nfc_exclusions.cc);
// characters assigned later are left as they are. Cost: O(n); text whose characters are all below
// U+0300 is returned as it is. Pure functions.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_NFC_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_NFC_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace caldera::model {

// Precondition: well-formed UTF-8.
std::string ToNfc(std::string_view utf8);

// The tables behind it, sorted by their first member.
namespace nfc_tables {

// `code` decomposes into `first` and `second` (0: none, a singleton).
struct Decomposition {
  char32_t code;
  char32_t first;
  char32_t second = 0;
};
// Code points first..last have the canonical combining class ccc > 0.
struct CombiningRange {
  char32_t first;
  char32_t last;
  std::uint8_t ccc;
};

std::span<const Decomposition> Composing();     // first + second composes back to code
std::span<const Decomposition> NotComposing();  // composition exclusions and singletons
std::span<const CombiningRange> CombiningRanges();

}  // namespace nfc_tables
}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_NFC_H_
