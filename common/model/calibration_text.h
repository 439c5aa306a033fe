// From a text file to windows of token ids, for calibration and for evaluation.
//
// The whole text is tokenised once, without special tokens, and cut from its start into
// non-overlapping windows of seq_len ids; what is left over is dropped. When the tokenizer adds
// BOS, every window is BOS followed by seq_len - 1 ids of the text, so a window is always seq_len
// ids long. Files by their name: *.jsonl (one JSON object with a string field "text" per line,
// blank lines skipped, records joined by one EOS), *.ids (decimal ids separated by white space),
// else UTF-8 text.
#ifndef CALDERA_COMMON_MODEL_CALIBRATION_TEXT_H_
#define CALDERA_COMMON_MODEL_CALIBRATION_TEXT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/byte_source.h"
#include "common/model/tokenizer.h"

namespace caldera::model {

// The ids of a whole file. INVALID_ARGUMENT naming the file and: the byte offset of invalid UTF-8,
// the line of a malformed .jsonl record, or the token of an .ids file that is no id of the
// vocabulary; FAILED_PRECONDITION for .jsonl when the tokenizer has no EOS; RESOURCE_EXHAUSTED
// above 1 GiB. Reads the file whole; memory: about 6 times its size.
absl::StatusOr<std::vector<std::int32_t>> TokenizeFile(const ByteSource& file,
                                                       const Tokenizer& tokenizer);

// Windows of equal length, one after another. A value.
struct TokenWindows {
  std::int64_t seq_len = 0;
  std::vector<std::int32_t> ids;  // count() x seq_len, row-major
  std::int64_t text_tokens = 0;   // ids of the whole text, used or not
  bool begins_with_bos = false;   // every window's first id is BOS

  std::int64_t count() const {
    return seq_len == 0 ? 0 : static_cast<std::int64_t>(ids.size()) / seq_len;
  }
  // Precondition: 0 <= index < count().
  std::span<const std::int32_t> window(std::int64_t index) const {
    return std::span(ids).subspan(static_cast<std::size_t>(index * seq_len),
                                  static_cast<std::size_t>(seq_len));
  }
};

struct CalibrationOptions {
  std::int64_t samples = 128;  // windows, N > 0
  std::int64_t seq_len = 512;  // ids per window, BOS included; at least 2
  std::uint64_t seed = 0;
};

// N windows drawn without replacement by the seed, in file order.
//
// The draw is fixed for all time (same text, options and seed: same windows, on every machine and
// in every release): r_0, r_1, ... is SplitMix64 (Steele, Lea & Flood 2014) started at `seed`;
// position i of the list 0..W-1 of windows is swapped with position i + floor(r_i * (W - i) / 2^64)
// for i = 0..N-1 (partial Fisher-Yates); the first N entries, sorted, are the windows.
// INVALID_ARGUMENT: options out of domain, or "calibration text too short: X tokens give Y windows
// of L, asked for N".
absl::StatusOr<TokenWindows> CalibrationWindows(std::span<const std::int32_t> text,
                                                const Tokenizer& tokenizer,
                                                const CalibrationOptions& options);

struct EvaluationOptions {
  std::int64_t seq_len = 512;              // ids per window, BOS included; at least 2
  std::optional<std::int64_t> max_tokens;  // use only the first floor(max_tokens / seq_len) windows
};

// All windows of the text in order. INVALID_ARGUMENT: options out of domain (max_tokens below
// seq_len included), or the text is shorter than one window.
absl::StatusOr<TokenWindows> EvaluationWindows(std::span<const std::int32_t> text,
                                               const Tokenizer& tokenizer,
                                               const EvaluationOptions& options);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_CALIBRATION_TEXT_H_
