#include "common/model/bpe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <unordered_set>

#include "common/base/status.h"
#include "common/model/bpe_merge.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

// (left id, right id) -> merge, by open addressing: the lookup is the inner loop of encoding.
class PairTable {
 public:
  explicit PairTable(std::size_t pairs) {
    std::size_t slots = 16;
    while (slots < pairs * 2) slots *= 2;
    slots_.resize(slots);
  }

  void Put(std::int32_t left, std::int32_t right, BpeMerge merge) {
    Slot& slot = slots_[Find(Key(left, right))];
    slot = {Key(left, right), merge};
  }

  std::optional<BpeMerge> Get(std::int32_t left, std::int32_t right) const {
    if (left < 0 || right < 0) return std::nullopt;
    const Slot& slot = slots_[Find(Key(left, right))];
    if (slot.key == kFree) return std::nullopt;
    return slot.merge;
  }

 private:
  static constexpr std::uint64_t kFree = std::numeric_limits<std::uint64_t>::max();
  struct Slot {
    std::uint64_t key = kFree;
    BpeMerge merge;
  };

  static std::uint64_t Key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }

  // The slot that holds `key`, or the free one where it belongs. At most half the slots are taken.
  std::size_t Find(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t index = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 20) & mask;
    while (slots_[index].key != kFree && slots_[index].key != key) index = (index + 1) & mask;
    return index;
  }

  std::vector<Slot> slots_;
};

std::int32_t IdOf(const SpellingMap& spellings, std::string_view spelling) {
  const auto entry = spellings.find(spelling);
  return entry == spellings.end() ? kNoToken : entry->second;
}

// The id of every byte's "<0xXX>" token, or kNoToken.
std::array<std::int32_t, 256> ByteTokens(const SpellingMap& spellings) {
  std::array<std::int32_t, 256> ids{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    ids[byte] = IdOf(spellings, ByteTokenText(static_cast<std::uint8_t>(byte)));
  }
  return ids;
}

class RankedBpe final : public PieceEncoder {
 public:
  RankedBpe(const RankedBpeDefinition& definition, SpellingMap spellings, PairTable merges)
      : kind_(definition.symbols),
        unknown_id_(definition.unknown_id),
        fuse_unknown_(definition.fuse_unknown),
        byte_fallback_(definition.byte_fallback),
        ignore_merges_(definition.ignore_merges),
        spellings_(std::move(spellings)),
        merges_(std::move(merges)),
        byte_tokens_(ByteTokens(spellings_)) {}

  void Append(std::string_view piece, std::vector<std::int32_t>* ids) const override {
    if (ignore_merges_) {
      const std::int32_t whole = IdOf(spellings_, piece);
      if (whole != kNoToken) return ids->push_back(whole);
    }
    std::vector<BpeSymbol> symbols = Start(piece);
    const auto find = [this](const BpeSymbol& left, const BpeSymbol& right) {
      return merges_.Get(left.id, right.id);
    };
    MergeSymbols(find, &symbols);
    for (const BpeSymbol& symbol : symbols) {
      if (symbol.length > 0) ids->push_back(symbol.id);
    }
  }

 private:
  std::vector<BpeSymbol> Start(std::string_view piece) const {
    std::vector<BpeSymbol> symbols;
    symbols.reserve(piece.size());
    bool after_unknown = false;
    for (std::size_t position = 0; position < piece.size();) {
      const std::size_t length =
          kind_ == SymbolKind::kByte ? 1 : CharacterAt(piece, position).length;
      const std::string_view text = piece.substr(position, length);
      position += length;
      const std::int32_t id = IdOf(spellings_, text);
      if (id != kNoToken) {
        AppendSymbol(id, length, &symbols);
        after_unknown = false;
        continue;
      }
      if (byte_fallback_ && AppendBytes(text, &symbols)) {
        after_unknown = false;
        continue;
      }
      AppendUnknown(length, fuse_unknown_ && after_unknown, &symbols);
      after_unknown = true;
    }
    return symbols;
  }

  bool AppendBytes(std::string_view text, std::vector<BpeSymbol>* symbols) const {
    for (const char byte : text) {
      if (byte_tokens_[static_cast<std::uint8_t>(byte)] == kNoToken) return false;
    }
    for (const char byte : text) {
      AppendSymbol(byte_tokens_[static_cast<std::uint8_t>(byte)], 1, symbols);
    }
    return true;
  }

  void AppendUnknown(std::size_t length, bool fuses, std::vector<BpeSymbol>* symbols) const {
    if (!unknown_id_) return;
    if (fuses) {
      symbols->back().length += static_cast<std::uint32_t>(length);
    } else {
      AppendSymbol(*unknown_id_, length, symbols);
    }
  }

  SymbolKind kind_;
  std::optional<std::int32_t> unknown_id_;
  bool fuse_unknown_;
  bool byte_fallback_;
  bool ignore_merges_;
  SpellingMap spellings_;
  PairTable merges_;
  std::array<std::int32_t, 256> byte_tokens_;
};

// A spelling as the text it stands for. Tokens that no text can be (added tokens with characters
// outside of the byte alphabet) have none.
std::optional<std::string> TextOf(const std::string& spelling, SymbolKind kind) {
  if (kind == SymbolKind::kCharacter) return spelling;
  return AlphabetToBytes(spelling);
}

absl::StatusOr<SpellingMap> MapSpellings(const RankedBpeDefinition& definition) {
  SpellingMap spellings;
  spellings.reserve(definition.vocabulary.size());
  std::unordered_set<std::int32_t> ids;
  for (const auto& [spelling, id] : definition.vocabulary) {
    if (id < 0 || !ids.insert(id).second) {
      return base::InvalidArgument("{}: token '{}' has id {}, which is negative or taken",
                                   definition.name, spelling, id);
    }
    const std::optional<std::string> text = TextOf(spelling, definition.symbols);
    if (!text || text->empty()) continue;
    if (!spellings.emplace(*text, id).second) {
      return base::InvalidArgument("{}: token '{}' is there twice", definition.name, spelling);
    }
  }
  return spellings;
}

absl::StatusOr<PairTable> MapMerges(const RankedBpeDefinition& definition,
                                    const SpellingMap& spellings) {
  PairTable table(definition.merges.size());
  std::uint32_t rank = 0;
  for (const auto& [left, right] : definition.merges) {
    const std::string left_text = TextOf(left, definition.symbols).value_or("");
    const std::string right_text = TextOf(right, definition.symbols).value_or("");
    const std::int32_t left_id = IdOf(spellings, left_text);
    const std::int32_t right_id = IdOf(spellings, right_text);
    const std::int32_t merged_id = IdOf(spellings, left_text + right_text);
    if (left_id == kNoToken || right_id == kNoToken || merged_id == kNoToken) {
      return base::InvalidArgument("{}: merge {} ('{}' + '{}') is not made of tokens",
                                   definition.name, rank, left, right);
    }
    table.Put(left_id, right_id, {rank++, merged_id});
  }
  return table;
}

// Order-preserving map of floats to unsigned integers, the highest score first.
std::uint32_t RankOfScore(float score) {
  const float value = score + 0.0f;  // -0 and 0 are one score

  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

class ScoredBpe final : public PieceEncoder {
 public:
  ScoredBpe(const ScoredBpeDefinition& definition, SpellingMap spellings)
      : unknown_id_(definition.unknown_id),
        spellings_(std::move(spellings)),
        byte_tokens_(ByteTokens(spellings_)) {
    for (const float score : definition.scores) ranks_.push_back(RankOfScore(score));
    for (const std::string& token : definition.tokens) longest_ = std::max(longest_, token.size());
  }

  void Append(std::string_view piece, std::vector<std::int32_t>* ids) const override {
    std::vector<BpeSymbol> symbols;
    symbols.reserve(piece.size());
    for (std::size_t position = 0; position < piece.size();) {
      const std::size_t length = CharacterAt(piece, position).length;
      AppendSymbol(IdOf(spellings_, piece.substr(position, length)), length, &symbols);
      position += length;
    }
    const auto find = [this, piece](const BpeSymbol& left, const BpeSymbol& right) {
      return Find(piece.substr(left.begin, left.length + right.length));
    };
    MergeSymbols(find, &symbols);
    for (const BpeSymbol& symbol : symbols) {
      if (symbol.length == 0) continue;
      if (symbol.id != kNoToken)
        ids->push_back(symbol.id);
      else
        AppendBytes(symbol.of(piece), ids);
    }
  }

 private:
  std::optional<BpeMerge> Find(std::string_view text) const {
    if (text.size() > longest_) return std::nullopt;
    const std::int32_t id = IdOf(spellings_, text);
    if (id == kNoToken) return std::nullopt;
    return BpeMerge{ranks_[static_cast<std::size_t>(id)], id};
  }

  void AppendBytes(std::string_view text, std::vector<std::int32_t>* ids) const {
    for (const char byte : text) {
      const std::int32_t id = byte_tokens_[static_cast<std::uint8_t>(byte)];
      if (id != kNoToken)
        ids->push_back(id);
      else if (unknown_id_)
        ids->push_back(*unknown_id_);
    }
  }

  std::optional<std::int32_t> unknown_id_;
  SpellingMap spellings_;
  std::array<std::int32_t, 256> byte_tokens_;
  std::vector<std::uint32_t> ranks_;
  std::size_t longest_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PieceEncoder>> MakeRankedBpe(const RankedBpeDefinition& definition) {
  CALDERA_ASSIGN_OR_RETURN(SpellingMap spellings, MapSpellings(definition));
  CALDERA_ASSIGN_OR_RETURN(PairTable merges, MapMerges(definition, spellings));
  std::unique_ptr<PieceEncoder> encoder =
      std::make_unique<RankedBpe>(definition, std::move(spellings), std::move(merges));
  return encoder;
}

absl::StatusOr<std::unique_ptr<PieceEncoder>> MakeScoredBpe(const ScoredBpeDefinition& definition) {
  if (definition.scores.size() != definition.tokens.size()) {
    return base::InvalidArgument("{}: {} scores for {} tokens", definition.name,
                                 definition.scores.size(), definition.tokens.size());
  }
  SpellingMap spellings;
  spellings.reserve(definition.tokens.size());
  for (std::size_t id = 0; id < definition.tokens.size(); ++id) {
    if (definition.scores[id] != definition.scores[id]) {
      return base::InvalidArgument("{}: the score of token {} is no number", definition.name, id);
    }
    if (definition.tokens[id].empty()) continue;
    if (!spellings.emplace(definition.tokens[id], static_cast<std::int32_t>(id)).second) {
      return base::InvalidArgument("{}: token '{}' is there twice (id {})", definition.name,
                                   definition.tokens[id], id);
    }
  }
  std::unique_ptr<PieceEncoder> encoder =
      std::make_unique<ScoredBpe>(definition, std::move(spellings));
  return encoder;
}

}  // namespace caldera::model
