#include "common/model/tokenizer_nfc.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

// Hangul syllables are composed by arithmetic (Unicode Standard, section 3.12).
constexpr char32_t kLeadBase = 0x1100, kVowelBase = 0x1161, kTailBase = 0x11A7;
constexpr char32_t kSyllableBase = 0xAC00;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28;
constexpr char32_t kSyllables = kLeads * kVowels * kTails;

struct Character {
  char32_t code = 0;
  std::uint8_t ccc = 0;
};

std::uint8_t CombiningClass(char32_t code) {
  const auto ranges = nfc_tables::CombiningRanges();
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), code,
      [](char32_t value, const nfc_tables::CombiningRange& range) { return value < range.first; });
  if (after == ranges.begin()) return 0;
  const nfc_tables::CombiningRange& range = *(after - 1);
  return code <= range.last ? range.ccc : std::uint8_t{0};
}

const nfc_tables::Decomposition* Find(std::span<const nfc_tables::Decomposition> table,
                                      char32_t code) {
  const auto entry = std::lower_bound(
      table.begin(), table.end(), code,
      [](const nfc_tables::Decomposition& row, char32_t value) { return row.code < value; });
  return entry != table.end() && entry->code == code ? &*entry : nullptr;
}

const nfc_tables::Decomposition* FindDecomposition(char32_t code) {
  const nfc_tables::Decomposition* composing = Find(nfc_tables::Composing(), code);
  return composing != nullptr ? composing : Find(nfc_tables::NotComposing(), code);
}

void Decompose(char32_t code, std::vector<Character>* out) {
  if (code >= kSyllableBase && code < kSyllableBase + kSyllables) {
    const char32_t index = code - kSyllableBase;
    out->push_back({kLeadBase + index / (kVowels * kTails), 0});
    out->push_back({kVowelBase + index / kTails % kVowels, 0});
    if (index % kTails != 0) out->push_back({kTailBase + index % kTails, 0});
    return;
  }
  const nfc_tables::Decomposition* row = code < 0xC0 ? nullptr : FindDecomposition(code);
  if (row == nullptr) {
    out->push_back({code, code < 0x300 ? std::uint8_t{0} : CombiningClass(code)});
    return;
  }
  Decompose(row->first, out);
  if (row->second != 0) Decompose(row->second, out);
}

// Runs of combining marks in the order of their classes, equals as they stood.
void Reorder(std::vector<Character>* text) {
  const auto is_starter = [](const Character& character) { return character.ccc == 0; };
  for (auto begin = text->begin(); begin != text->end();) {
    if (is_starter(*begin)) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, text->end(), is_starter);
    std::stable_sort(begin, end,
                     [](const Character& a, const Character& b) { return a.ccc < b.ccc; });
    begin = end;
  }
}

using PairMap = std::unordered_map<std::uint64_t, char32_t>;

std::uint64_t PairKey(char32_t first, char32_t second) {
  return static_cast<std::uint64_t>(first) << 32 | second;
}

PairMap MakePairs() {
  PairMap pairs;
  for (const nfc_tables::Decomposition& row : nfc_tables::Composing()) {
    pairs.emplace(PairKey(row.first, row.second), row.code);
  }
  return pairs;
}

// 0: the two do not compose.
char32_t Compose(char32_t first, char32_t second) {
  if (first >= kLeadBase && first < kLeadBase + kLeads && second >= kVowelBase &&
      second < kVowelBase + kVowels) {
    return kSyllableBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTails;
  }
  const bool first_has_no_tail = first >= kSyllableBase && first < kSyllableBase + kSyllables &&
                                 (first - kSyllableBase) % kTails == 0;
  if (first_has_no_tail && second > kTailBase && second < kTailBase + kTails) {
    return first + (second - kTailBase);
  }
  static const PairMap pairs = MakePairs();
  const auto entry = pairs.find(PairKey(first, second));
  return entry == pairs.end() ? 0 : entry->second;
}

// Each mark joins the last starter unless something between them blocks it.
std::string ComposeAll(const std::vector<Character>& text) {
  std::vector<Character> result;
  result.reserve(text.size());
  std::size_t starter = text.size();  // index in result; text.size(): none yet
  for (const Character& character : text) {
    const bool has_starter = starter != text.size();
    const bool blocked = has_starter && starter + 1 < result.size() &&
                         (result.back().ccc == 0 || result.back().ccc >= character.ccc);
    const char32_t composed =
        has_starter && !blocked ? Compose(result[starter].code, character.code) : 0;
    if (composed != 0) {
      result[starter].code = composed;
      continue;
    }
    if (character.ccc == 0) starter = result.size();
    result.push_back(character);
  }
  std::string utf8;
  for (const Character& character : result) AppendUtf8(character.code, &utf8);
  return utf8;
}

}  // namespace

std::string ToNfc(std::string_view utf8) {
  // 0xCC is the first byte of U+0300.
  const bool is_plain = std::all_of(
      utf8.begin(), utf8.end(), [](char byte) { return static_cast<unsigned char>(byte) < 0xCC; });
  if (is_plain) return std::string(utf8);
  std::vector<Character> text;
  text.reserve(utf8.size());
  for (std::size_t position = 0; position < utf8.size();) {
    const Utf8Character character = CharacterAt(utf8, position);
    Decompose(character.code, &text);
    position += character.length;
  }
  Reorder(&text);
  return ComposeAll(text);
}

}  // namespace caldera::model
