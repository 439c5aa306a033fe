// The merge loop that ranked and scored BPE share. Internal to common/model/bpe*.cc.
#ifndef CALDERA_COMMON_MODEL_BPE_MERGE_H_
#define CALDERA_COMMON_MODEL_BPE_MERGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace caldera::model {

inline constexpr std::int32_t kNoToken = -1;

// A run of bytes of the piece, linked to its living neighbours by index (-1: none).
struct BpeSymbol {
  std::int32_t id = kNoToken;
  std::uint32_t begin = 0;
  std::uint32_t length = 0;  // 0: merged away
  std::int32_t previous = -1;
  std::int32_t next = -1;

  std::string_view of(std::string_view piece) const { return piece.substr(begin, length); }
};

// What a pair of neighbours becomes; the lowest rank goes first.
struct BpeMerge {
  std::uint32_t rank = 0;
  std::int32_t id = kNoToken;
};

// Spelling -> id.
struct SpellingHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using SpellingMap = std::unordered_map<std::string, std::int32_t, SpellingHash, std::equal_to<>>;

// Appends the symbol of the next `length` bytes to a list whose links are kept.
inline void AppendSymbol(std::int32_t id, std::size_t length, std::vector<BpeSymbol>* symbols) {
  BpeSymbol symbol;
  symbol.id = id;
  symbol.length = static_cast<std::uint32_t>(length);
  if (!symbols->empty()) {
    symbol.begin = symbols->back().begin + symbols->back().length;
    symbol.previous = static_cast<std::int32_t>(symbols->size()) - 1;
    symbols->back().next = static_cast<std::int32_t>(symbols->size());
  }
  symbols->push_back(symbol);
}

// Merges until no pair has a merge. `find(left, right)` gives optional<BpeMerge>. Dead symbols keep
// their place with length 0; follow `next` from symbol 0. The queue holds (rank, left, bytes, id):
// an entry is out of date exactly when its left symbol and that one's neighbour no longer add up to
// `bytes`, because symbols only grow by whole neighbours.
template <typename Find>
void MergeSymbols(const Find& find, std::vector<BpeSymbol>* symbols) {
  using Candidate = std::tuple<std::uint32_t, std::int32_t, std::uint32_t, std::int32_t>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto at = [symbols](std::int32_t index) -> BpeSymbol& {
    return (*symbols)[static_cast<std::size_t>(index)];
  };
  const auto offer = [&](std::int32_t left) {
    if (left < 0 || at(left).next < 0) return;
    const BpeSymbol& right = at(at(left).next);
    const std::optional<BpeMerge> merge = find(at(left), right);
    if (merge) queue.emplace(merge->rank, left, at(left).length + right.length, merge->id);
  };
  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols->size()); ++i) offer(i);
  while (!queue.empty()) {
    const auto [rank, index, bytes, id] = queue.top();
    queue.pop();
    BpeSymbol& left = at(index);
    if (left.length == 0 || left.next < 0) continue;
    BpeSymbol& right = at(left.next);
    if (left.length + right.length != bytes) continue;
    left.id = id;
    left.length = bytes;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) at(left.next).previous = index;
    offer(left.previous);
    offer(index);
  }
}

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_BPE_MERGE_H_
