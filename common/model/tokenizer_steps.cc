#include "common/model/tokenizer_steps.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "common/model/tokenizer_nfc.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

class PrependNormalizer final : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  absl::Status Apply(std::string* text) const override {
    if (!text->empty()) text->insert(0, prefix_);
    return absl::OkStatus();
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer final : public Normalizer {
 public:
  ReplaceNormalizer(std::shared_ptr<const TokenizerRegex> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  absl::Status Apply(std::string* text) const override {
    std::vector<TextRange> matches;
    CALDERA_RETURN_IF_ERROR(pattern_->FindAll(*text, {0, text->size()}, &matches));
    CALDERA_RETURN_IF_ERROR(CheckGrowth(text->size(), matches.size() * content_.size()));
    std::string result;
    std::size_t position = 0;
    for (const TextRange& match : matches) {
      result.append(*text, position, match.begin - position);
      result += content_;
      position = match.end;
    }
    result.append(*text, position);
    *text = std::move(result);
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<const TokenizerRegex> pattern_;
  std::string content_;
};

class StripNormalizer final : public Normalizer {
 public:
  explicit StripNormalizer(StripSides sides) : sides_(sides) {}
  absl::Status Apply(std::string* text) const override {
    std::size_t first = text->size();  // where what is no white space begins
    std::size_t last = 0;              // and where it ends
    for (std::size_t position = 0; position < text->size();) {
      const Utf8Character character = CharacterAt(*text, position);
      const std::size_t end = position + character.length;
      if (!IsWhiteSpace(character.code)) {
        first = std::min(first, position);
        last = end;
      }
      position = end;
    }
    if (sides_ == StripSides::kRight || sides_ == StripSides::kBoth) text->resize(last);
    if (sides_ == StripSides::kLeft || sides_ == StripSides::kBoth) {
      text->erase(0, std::min(first, text->size()));
    }
    return absl::OkStatus();
  }

 private:
  StripSides sides_;
};

class NfcNormalizer final : public Normalizer {
 public:
  absl::Status Apply(std::string* text) const override {
    *text = ToNfc(*text);
    return absl::OkStatus();
  }
};

struct Segment {
  TextRange range;
  bool is_match = false;
};

// The piece as matches and the gaps between them, in order.
std::vector<Segment> Segments(TextRange piece, const std::vector<TextRange>& matches, SplitOn on) {
  const bool match_flag = on == SplitOn::kMatches;
  std::vector<Segment> segments;
  std::size_t position = piece.begin;
  for (const TextRange& match : matches) {
    if (match.begin > position) segments.push_back({{position, match.begin}, !match_flag});
    segments.push_back({match, match_flag});
    position = match.end;
  }
  if (position < piece.end) segments.push_back({{position, piece.end}, !match_flag});
  return segments;
}

std::vector<TextRange> MergeWithPrevious(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  bool previous_match = false;
  for (const Segment& segment : segments) {
    if (segment.is_match && !previous_match && !pieces.empty()) {
      pieces.back().end = segment.range.end;
    } else {
      pieces.push_back(segment.range);
    }
    previous_match = segment.is_match;
  }
  return pieces;
}

std::vector<TextRange> MergeWithNext(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  bool next_match = false;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->is_match && !next_match && !pieces.empty()) {
      pieces.back().begin = segment->range.begin;
    } else {
      pieces.push_back(segment->range);
    }
    next_match = segment->is_match;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<TextRange> MergeContiguous(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  bool previous_match = false;
  for (const Segment& segment : segments) {
    if (!pieces.empty() && segment.is_match == previous_match) {
      pieces.back().end = segment.range.end;
    } else {
      pieces.push_back(segment.range);
    }
    previous_match = segment.is_match;
  }
  return pieces;
}

std::vector<TextRange> Keep(const std::vector<Segment>& segments, SplitBehavior behavior) {
  std::vector<TextRange> pieces;
  for (const Segment& segment : segments) {
    if (behavior == SplitBehavior::kRemoved && segment.is_match) continue;
    pieces.push_back(segment.range);
  }
  return pieces;
}

std::vector<TextRange> PiecesOf(const std::vector<Segment>& segments, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious:
      return MergeWithPrevious(segments);
    case SplitBehavior::kMergedWithNext:
      return MergeWithNext(segments);
    case SplitBehavior::kContiguous:
      return MergeContiguous(segments);
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
  }
  return Keep(segments, behavior);
}

class Split final : public PreTokenizer {
 public:
  Split(std::shared_ptr<const TokenizerRegex> pattern, SplitBehavior behavior, SplitOn on)
      : pattern_(std::move(pattern)), behavior_(behavior), on_(on) {}
  absl::Status Apply(SplitText* split) const override {
    std::vector<TextRange> pieces;
    std::vector<TextRange> matches;
    for (const TextRange& piece : split->pieces) {
      matches.clear();
      CALDERA_RETURN_IF_ERROR(pattern_->FindAll(split->text, piece, &matches));
      for (const TextRange& part : PiecesOf(Segments(piece, matches, on_), behavior_)) {
        if (part.size() > 0) pieces.push_back(part);
      }
    }
    split->pieces = std::move(pieces);
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<const TokenizerRegex> pattern_;
  SplitBehavior behavior_;
  SplitOn on_;
};

// Writes every piece anew: rewrite(piece text, index) -> text.
template <typename Rewrite>
void RewritePieces(const Rewrite& rewrite, SplitText* split) {
  std::string text;
  text.reserve(split->text.size() + split->pieces.size());
  for (std::size_t i = 0; i < split->pieces.size(); ++i) {
    TextRange& piece = split->pieces[i];
    const std::size_t begin = text.size();
    text += rewrite(piece.of(split->text), i);
    piece = {begin, text.size()};
  }
  split->text = std::move(text);
}

class PrefixSpace final : public PreTokenizer {
 public:
  absl::Status Apply(SplitText* split) const override {
    const auto add_space = [](std::string_view piece, std::size_t) {
      return piece.starts_with(' ') ? std::string(piece) : " " + std::string(piece);
    };
    RewritePieces(add_space, split);
    return absl::OkStatus();
  }
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(MetaspaceOptions options, std::unique_ptr<PreTokenizer> cut)
      : options_(std::move(options)), cut_(std::move(cut)) {}
  absl::Status Apply(SplitText* split) const override {
    const auto mark_spaces = [this, split](std::string_view piece, std::size_t index) {
      std::string marked = ReplaceAll(piece, " ", options_.mark);
      const bool wanted = options_.prepend == MetaspaceOptions::Prepend::kAlways ||
                          (options_.prepend == MetaspaceOptions::Prepend::kFirst && index == 0 &&
                           split->starts_input);
      return wanted && !marked.starts_with(options_.mark) ? options_.mark + marked : marked;
    };
    RewritePieces(mark_spaces, split);
    return options_.cuts_before_marks ? cut_->Apply(split) : absl::OkStatus();
  }

 private:
  MetaspaceOptions options_;
  std::unique_ptr<PreTokenizer> cut_;
};

// The first place at or after `from` where a space mark follows something else.
std::size_t FindWordStart(std::string_view text, std::size_t from) {
  for (std::size_t place = text.find(kSpaceMark, from); place != std::string_view::npos;
       place = text.find(kSpaceMark, place + kSpaceMark.size())) {
    if (place > 0 && !text.substr(0, place).ends_with(kSpaceMark)) return place;
  }
  return std::string_view::npos;
}

class WordCut final : public PreTokenizer {
 public:
  absl::Status Apply(SplitText* split) const override {
    std::vector<TextRange> pieces;
    for (const TextRange& piece : split->pieces) {
      const std::string_view text = piece.of(split->text);
      std::size_t begin = 0;
      while (begin < text.size()) {
        const std::size_t end = std::min(FindWordStart(text, begin + 1), text.size());
        pieces.push_back({piece.begin + begin, piece.begin + end});
        begin = end;
      }
    }
    split->pieces = std::move(pieces);
    return absl::OkStatus();
  }
};

}  // namespace

absl::Status CheckGrowth(std::size_t before, std::size_t after) {
  constexpr std::size_t kTimes = 16;
  constexpr std::size_t kMore = 1024;
  if (after <= kTimes * before + kMore) return absl::OkStatus();
  return base::ResourceExhausted("the tokenizer's steps make {} bytes of a text of {}", after,
                                 before);
}

absl::Status Normalize(const std::vector<std::unique_ptr<Normalizer>>& steps, std::string* text) {
  const std::size_t before = text->size();
  for (const std::unique_ptr<Normalizer>& step : steps) {
    CALDERA_RETURN_IF_ERROR(step->Apply(text));
    CALDERA_RETURN_IF_ERROR(CheckGrowth(before, text->size()));
  }
  return absl::OkStatus();
}

std::unique_ptr<Normalizer> MakePrependNormalizer(std::string prefix) {
  return std::make_unique<PrependNormalizer>(std::move(prefix));
}

std::unique_ptr<Normalizer> MakeReplaceNormalizer(std::shared_ptr<const TokenizerRegex> pattern,
                                                  std::string content) {
  return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::move(content));
}

std::unique_ptr<Normalizer> MakeStripNormalizer(StripSides sides) {
  return std::make_unique<StripNormalizer>(sides);
}

std::unique_ptr<Normalizer> MakeNfcNormalizer() { return std::make_unique<NfcNormalizer>(); }

std::unique_ptr<PreTokenizer> MakeSplit(std::shared_ptr<const TokenizerRegex> pattern,
                                        SplitBehavior behavior, SplitOn on) {
  return std::make_unique<Split>(std::move(pattern), behavior, on);
}

std::unique_ptr<PreTokenizer> MakePrefixSpace() { return std::make_unique<PrefixSpace>(); }

absl::StatusOr<std::unique_ptr<PreTokenizer>> MakeMetaspace(const MetaspaceOptions& options,
                                                            const std::string& where) {
  if (options.mark.empty() || CharacterAt(options.mark, 0).length != options.mark.size()) {
    return base::InvalidArgument("{}: the Metaspace replacement is \"{}\", expected one character",
                                 where, options.mark);
  }
  CALDERA_ASSIGN_OR_RETURN(auto mark, TokenizerRegex::CompileLiteral(options.mark, where));
  std::unique_ptr<PreTokenizer> metaspace = std::make_unique<Metaspace>(
      options, MakeSplit(std::move(mark), SplitBehavior::kMergedWithNext, SplitOn::kMatches));
  return metaspace;
}

std::unique_ptr<PreTokenizer> MakeWordCut(const std::vector<std::string>& spellings) {
  bool mark_is_token = false;
  for (const std::string& spelling : spellings) {
    if (FindWordStart(spelling, 0) != std::string_view::npos) return nullptr;
    mark_is_token = mark_is_token || spelling == kSpaceMark;
  }
  return mark_is_token ? std::make_unique<WordCut>() : nullptr;
}

}  // namespace caldera::model
