#include "common/model/bpe_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "common/base/status.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

bool Strips(const AddedToken& token, StripSides side) {
  return token.strips == side || token.strips == StripSides::kBoth;
}

// The first place at or after `from` where a token stands, with the longest one there (tokens come
// longest first). A token that does not occur again is not searched for again.
struct AddedMatch {
  std::size_t begin = std::string::npos;
  const AddedToken* token = nullptr;
};

AddedMatch FindAdded(const std::string& text, std::size_t from,
                     const std::vector<AddedToken>& tokens, std::vector<std::size_t>* next) {
  AddedMatch best;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::size_t& place = (*next)[i];
    if (place != std::string::npos && place < from) place = text.find(tokens[i].content, from);
    if (place < best.begin) best = {place, &tokens[i]};
  }
  return best;
}

std::size_t StepLeftOverSpace(const std::string& text, std::size_t begin, std::size_t limit) {
  for (std::size_t start = begin; start > limit;) {
    --start;
    if ((static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) continue;
    if (!IsWhiteSpace(CharacterAt(text, start).code)) break;
    begin = start;
  }
  return begin;
}

std::size_t StepRightOverSpace(const std::string& text, std::size_t end) {
  while (end < text.size()) {
    const Utf8Character character = CharacterAt(text, end);
    if (!IsWhiteSpace(character.code)) break;
    end += character.length;
  }
  return end;
}

std::vector<AddedToken> OfStage(const std::vector<AddedToken>& tokens, bool after_normalizers) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.after_normalizers == after_normalizers && !token.content.empty()) {
      selected.push_back(token);
    }
  }
  const auto longer = [](const AddedToken& a, const AddedToken& b) {
    return a.content.size() > b.content.size();
  };
  std::stable_sort(selected.begin(), selected.end(), longer);
  return selected;
}

}  // namespace

// Remembers the ids of short pieces for the length of one Encode.
class BpeTokenizer::PieceCache {
 public:
  explicit PieceCache(const PieceEncoder& encoder) : encoder_(encoder) {}

  void Append(std::string_view piece, std::vector<std::int32_t>* ids) {
    if (piece.size() > kLongestPiece) return encoder_.Append(piece, ids);
    key_.assign(piece);
    const auto entry = known_.find(key_);
    if (entry != known_.end()) {
      ids->insert(ids->end(), entry->second.begin(), entry->second.end());
      return;
    }
    const std::size_t before = ids->size();
    encoder_.Append(piece, ids);
    if (known_.size() >= kMostPieces) return;
    known_.emplace(key_, std::vector<std::int32_t>(
                             ids->begin() + static_cast<std::ptrdiff_t>(before), ids->end()));
  }

 private:
  static constexpr std::size_t kLongestPiece = 64;
  static constexpr std::size_t kMostPieces = 65536;

  const PieceEncoder& encoder_;
  std::string key_;
  std::unordered_map<std::string, std::vector<std::int32_t>> known_;
};

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts, SpecialTokens special)
    : Tokenizer(std::move(special)),
      parts_(std::move(parts)),
      raw_tokens_(OfStage(parts_.added_tokens, false)),
      normalized_tokens_(OfStage(parts_.added_tokens, true)) {}

std::vector<BpeTokenizer::Section> BpeTokenizer::CutAddedTokens(Section section,
                                                                Stage stage) const {
  const std::vector<AddedToken>& tokens = stage == Stage::kRaw ? raw_tokens_ : normalized_tokens_;
  std::vector<Section> sections;
  if (tokens.empty()) {
    sections.push_back(std::move(section));
    return sections;
  }
  const std::string& text = section.text;
  std::vector<std::size_t> next(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) next[i] = text.find(tokens[i].content);
  std::size_t position = 0;
  for (;;) {
    const AddedMatch match = FindAdded(text, position, tokens, &next);
    if (match.token == nullptr) break;
    std::size_t begin = match.begin;
    std::size_t end = begin + match.token->content.size();
    if (Strips(*match.token, StripSides::kLeft)) begin = StepLeftOverSpace(text, begin, position);
    if (Strips(*match.token, StripSides::kRight)) end = StepRightOverSpace(text, end);
    if (begin > position) {
      sections.push_back({text.substr(position, begin - position), std::nullopt,
                          section.starts_input && position == 0});
    }
    sections.push_back({"", match.token->id, false});
    position = end;
  }
  if (position < text.size()) {
    sections.push_back(
        {text.substr(position), std::nullopt, section.starts_input && position == 0});
  }
  return sections;
}

absl::Status BpeTokenizer::AppendText(Section section, PieceCache* cache,
                                      std::vector<std::int32_t>* ids) const {
  if (section.text.empty()) return absl::OkStatus();
  SplitText split;
  split.text = std::move(section.text);
  split.pieces = {{0, split.text.size()}};
  split.starts_input = section.starts_input;
  const std::size_t before = split.text.size();
  for (const auto& step : parts_.pre_tokenizers) {
    CALDERA_RETURN_IF_ERROR(step->Apply(&split));
    CALDERA_RETURN_IF_ERROR(CheckGrowth(before, split.text.size()));
  }
  for (const TextRange& piece : split.pieces) cache->Append(piece.of(split.text), ids);
  return absl::OkStatus();
}

absl::Status BpeTokenizer::AppendSection(Section section, PieceCache* cache,
                                         std::vector<std::int32_t>* ids) const {
  if (section.id) {
    ids->push_back(*section.id);
    return absl::OkStatus();
  }
  CALDERA_RETURN_IF_ERROR(Normalize(parts_.normalizers, &section.text));
  for (Section& part : CutAddedTokens(std::move(section), Stage::kNormalized)) {
    if (part.id) {
      ids->push_back(*part.id);
    } else {
      CALDERA_RETURN_IF_ERROR(AppendText(std::move(part), cache, ids));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::int32_t>> BpeTokenizer::Encode(const std::string& utf8) const {
  CALDERA_RETURN_IF_ERROR(CheckUtf8(utf8, "text to tokenise"));
  std::vector<std::int32_t> ids;
  PieceCache cache(*parts_.encoder);
  for (Section& section : CutAddedTokens({utf8, std::nullopt, true}, Stage::kRaw)) {
    CALDERA_RETURN_IF_ERROR(AppendSection(std::move(section), &cache, &ids));
  }
  return ids;
}

std::string BpeTokenizer::Decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < vocab_size()) text += parts_.decoded[static_cast<std::size_t>(id)];
  }
  if (parts_.decode_strips_space && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

std::int32_t BpeTokenizer::vocab_size() const {
  return static_cast<std::int32_t>(parts_.decoded.size());
}

}  // namespace caldera::model
