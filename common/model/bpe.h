// Byte pair encoding of one piece of text: by ranked merges (tokenizer.json, GGUF "gpt2") or by the
// scores of the merged tokens (SentencePiece vocabularies in GGUF).
//
// Both start from the smallest symbols and keep merging the best adjacent pair, the leftmost among
// equals, until none is left (Sennrich et al. 2016; Kudo & Richardson 2018). Cost: O(n log n) for n
// bytes. Encoders are immutable: Append may run on several threads at once.
#ifndef CALDERA_COMMON_MODEL_BPE_H_
#define CALDERA_COMMON_MODEL_BPE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace caldera::model {

// Encodes one piece; no token crosses its ends.
class PieceEncoder {
 public:
  virtual ~PieceEncoder() = default;
  // Precondition: `piece` is well-formed UTF-8 shorter than 2 GiB.
  virtual void Append(std::string_view piece, std::vector<std::int32_t>* ids) const = 0;
};

// What merging starts from: the bytes of the piece (tokens are spelled in GPT-2's alphabet) or its
// characters (tokens are spelled as they are).
enum class SymbolKind { kByte, kCharacter };

struct RankedBpeDefinition {
  std::string name;  // file, for error messages
  SymbolKind symbols = SymbolKind::kByte;
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  // spelling, id
  std::vector<std::pair<std::string, std::string>> merges;       // spellings, best first
  std::optional<std::int32_t> unknown_id;  // for symbols without a token; absent: dropped
  bool fuse_unknown = false;               // a run of unknown symbols is one unknown_id
  bool byte_fallback = false;              // unknown characters as "<0xXX>" tokens when all exist
  bool ignore_merges = false;              // a piece that is a token is that token, merges or not
};

// INVALID_ARGUMENT naming file and entry: ids or spellings twice, ids below 0, a merge whose parts
// or result are not in the vocabulary.
absl::StatusOr<std::unique_ptr<PieceEncoder>> MakeRankedBpe(const RankedBpeDefinition& definition);

struct ScoredBpeDefinition {
  std::string name;                        // file, for error messages
  std::vector<std::string> tokens;         // by id; an empty spelling never matches
  std::vector<float> scores;               // by id; the higher the earlier merged
  std::optional<std::int32_t> unknown_id;  // for bytes without a "<0xXX>" token; absent: dropped
};

// INVALID_ARGUMENT naming the file: sizes that disagree, a spelling twice, a score that is no
// number.
absl::StatusOr<std::unique_ptr<PieceEncoder>> MakeScoredBpe(const ScoredBpeDefinition& definition);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_BPE_H_
