// What happens to a text before BPE: normalizers rewrite it, pre-tokenizers cut it into pieces that
// no token crosses. The steps and their meaning are those of Hugging Face `tokenizers`. All
// immutable; const methods may run on several threads at once.
#ifndef CALDERA_COMMON_MODEL_TOKENIZER_STEPS_H_
#define CALDERA_COMMON_MODEL_TOKENIZER_STEPS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/tokenizer_regex.h"

namespace caldera::model {

// Rewrites well-formed UTF-8 to well-formed UTF-8.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual absl::Status Apply(std::string* text) const = 0;
};

// RESOURCE_EXHAUSTED when steps have made a text more than sixteen times as long (and 1 KiB): a few
// replacements of a hostile file could fill any memory.
absl::Status CheckGrowth(std::size_t before, std::size_t after);

// All steps in order. Errors: theirs, and CheckGrowth of the text as given.
absl::Status Normalize(const std::vector<std::unique_ptr<Normalizer>>& steps, std::string* text);

// `prefix` before every text that is not empty.
std::unique_ptr<Normalizer> MakePrependNormalizer(std::string prefix);
// Every match becomes `content`. Its Apply has the error of CheckGrowth.
std::unique_ptr<Normalizer> MakeReplaceNormalizer(std::shared_ptr<const TokenizerRegex> pattern,
                                                  std::string content);
// White space off one end or both.
enum class StripSides { kNone, kLeft, kRight, kBoth };
std::unique_ptr<Normalizer> MakeStripNormalizer(StripSides sides);
// Unicode normalisation form C (common/model/tokenizer_nfc).
std::unique_ptr<Normalizer> MakeNfcNormalizer();

// A text and its pieces: ranges of `text`, in order, not empty, not overlapping. Text outside of
// all pieces is dropped.
struct SplitText {
  std::string text;
  std::vector<TextRange> pieces;
  bool starts_input = true;  // the first piece is the start of the user's text
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual absl::Status Apply(SplitText* split) const = 0;
};

// What becomes of the matches of a Split.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
// What counts as a match: what the pattern finds, or (inverted) what it leaves.
enum class SplitOn { kMatches, kGaps };
std::unique_ptr<PreTokenizer> MakeSplit(std::shared_ptr<const TokenizerRegex> pattern,
                                        SplitBehavior behavior, SplitOn on);

// A space before every piece that does not begin with one (ByteLevel's add_prefix_space).
std::unique_ptr<PreTokenizer> MakePrefixSpace();

// Spaces become `mark`, one character, and `mark` is put before every piece, before the first of
// the input, or never (where it is not there already); then pieces are cut before every mark, or
// not.
struct MetaspaceOptions {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string mark;
  Prepend prepend = Prepend::kAlways;
  bool cuts_before_marks = true;
};
absl::StatusOr<std::unique_ptr<PreTokenizer>> MakeMetaspace(const MetaspaceOptions& options,
                                                            const std::string& where);

// Cuts before every space mark that follows another character: pieces are words, which the encoder
// meets again and again. Null when that could change the ids: when a token of `spellings` has a
// mark after another character, or the mark alone is no token.
std::unique_ptr<PreTokenizer> MakeWordCut(const std::vector<std::string>& spellings);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_TOKENIZER_STEPS_H_
