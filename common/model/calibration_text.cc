#include "common/model/calibration_text.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "common/model/tokenizer_text.h"

namespace caldera::model {
namespace {

constexpr std::uint64_t kLargestText = std::uint64_t{1} << 30;

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

absl::StatusOr<std::vector<std::int32_t>> EncodeRecord(const std::string& line,
                                                       const std::string& where,
                                                       const Tokenizer& tokenizer) {
  CALDERA_ASSIGN_OR_RETURN(const JsonObject record, JsonObject::Parse(line, where));
  CALDERA_ASSIGN_OR_RETURN(const std::string text, record.String("text"));
  return tokenizer.Encode(text);
}

absl::StatusOr<std::vector<std::int32_t>> TokenizeRecords(const std::string& text,
                                                          const std::string& name,
                                                          const Tokenizer& tokenizer) {
  if (tokenizer.eos_ids().empty()) {
    return base::FailedPrecondition("{}: the tokenizer has no EOS to join records with", name);
  }
  std::vector<std::int32_t> ids;
  bool is_first = true;
  std::size_t begin = 0;
  for (int number = 1; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (IsBlank(line)) continue;
    if (!is_first) ids.push_back(tokenizer.eos_ids().front());
    is_first = false;
    CALDERA_ASSIGN_OR_RETURN(
        const auto record, EncodeRecord(line, fmt::format("{} line {}", name, number), tokenizer));
    ids.insert(ids.end(), record.begin(), record.end());
  }
  return ids;
}

absl::StatusOr<std::vector<std::int32_t>> ParseIds(const std::string& text, const std::string& name,
                                                   const Tokenizer& tokenizer) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::string_view view = text;
  std::vector<std::int32_t> ids;
  std::size_t begin = view.find_first_not_of(kSpace);
  while (begin != std::string_view::npos) {
    const std::size_t end = std::min(view.find_first_of(kSpace, begin), view.size());
    std::int32_t id = -1;
    const auto parsed = std::from_chars(view.data() + begin, view.data() + end, id);
    const bool is_whole = parsed.ec == std::errc() && parsed.ptr == view.data() + end;
    if (!is_whole || id < 0 || id >= tokenizer.vocab_size()) {
      return base::InvalidArgument("{}: '{}' at byte {} is no token id below {}", name,
                                   view.substr(begin, std::min<std::size_t>(end - begin, 24)),
                                   begin, tokenizer.vocab_size());
    }
    ids.push_back(id);
    begin = view.find_first_not_of(kSpace, end);
  }
  return ids;
}

// Ids of the text in one window: BOS takes the place of one.
std::int64_t BodyLength(std::int64_t seq_len, const Tokenizer& tokenizer) {
  return tokenizer.adds_bos() ? seq_len - 1 : seq_len;
}

absl::Status CheckLength(std::int64_t seq_len) {
  if (seq_len >= 2) return absl::OkStatus();
  return base::InvalidArgument("seq_len is {}, must be at least 2", seq_len);
}

// The windows with these numbers, in this order.
TokenWindows TakeWindows(std::span<const std::int32_t> text, const Tokenizer& tokenizer,
                         std::int64_t seq_len, std::span<const std::int64_t> numbers) {
  TokenWindows windows;
  windows.seq_len = seq_len;
  windows.text_tokens = static_cast<std::int64_t>(text.size());
  windows.begins_with_bos = tokenizer.adds_bos();
  windows.ids.reserve(numbers.size() * static_cast<std::size_t>(seq_len));
  const std::int64_t body = BodyLength(seq_len, tokenizer);
  for (const std::int64_t number : numbers) {
    if (tokenizer.adds_bos()) windows.ids.push_back(*tokenizer.bos_id());
    const auto part =
        text.subspan(static_cast<std::size_t>(number * body), static_cast<std::size_t>(body));
    windows.ids.insert(windows.ids.end(), part.begin(), part.end());
  }
  return windows;
}

std::uint64_t SplitMix64(std::uint64_t* state) {
  *state += 0x9E3779B97F4A7C15u;
  std::uint64_t value = *state;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
  value = (value ^ value >> 27) * 0x94D049BB133111EBu;
  return value ^ value >> 31;
}

// floor(random * bound / 2^64) by 32-bit halves; bound < 2^32 is not needed.
std::uint64_t Scale(std::uint64_t random, std::uint64_t bound) {
  const std::uint64_t random_low = random & 0xFFFFFFFFu, random_high = random >> 32;
  const std::uint64_t bound_low = bound & 0xFFFFFFFFu, bound_high = bound >> 32;
  const std::uint64_t low = random_low * bound_low;
  const std::uint64_t middle = random_high * bound_low + (low >> 32);
  const std::uint64_t other = random_low * bound_high + (middle & 0xFFFFFFFFu);
  return random_high * bound_high + (middle >> 32) + (other >> 32);
}

std::vector<std::int64_t> DrawWindows(std::int64_t available, std::int64_t wanted,
                                      std::uint64_t seed) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(available));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  std::uint64_t state = seed;
  const auto count = static_cast<std::size_t>(wanted);
  for (std::size_t i = 0; i < count; ++i) {
    const auto step = Scale(SplitMix64(&state), numbers.size() - i);
    std::swap(numbers[i], numbers[i + static_cast<std::size_t>(step)]);
  }
  numbers.resize(count);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

absl::StatusOr<std::vector<std::int32_t>> TokenizeFile(const ByteSource& file,
                                                       const Tokenizer& tokenizer) {
  if (file.size() > kLargestText) {
    return base::ResourceExhausted("{}: {} bytes, at most {} are supported", file.name(),
                                   file.size(), kLargestText);
  }
  CALDERA_ASSIGN_OR_RETURN(const std::string text, ReadText(file, kLargestText));
  if (file.name().ends_with(".ids")) return ParseIds(text, file.name(), tokenizer);
  CALDERA_RETURN_IF_ERROR(CheckUtf8(text, file.name()));
  if (file.name().ends_with(".jsonl")) return TokenizeRecords(text, file.name(), tokenizer);
  return tokenizer.Encode(text);
}

absl::StatusOr<TokenWindows> CalibrationWindows(std::span<const std::int32_t> text,
                                                const Tokenizer& tokenizer,
                                                const CalibrationOptions& options) {
  CALDERA_RETURN_IF_ERROR(CheckLength(options.seq_len));
  if (options.samples < 1) {
    return base::InvalidArgument("samples is {}, must be at least 1", options.samples);
  }
  const auto tokens = static_cast<std::int64_t>(text.size());
  const std::int64_t available = tokens / BodyLength(options.seq_len, tokenizer);
  if (available < options.samples) {
    return base::InvalidArgument(
        "calibration text too short: {} tokens give {} windows of {}, asked for {}", tokens,
        available, options.seq_len, options.samples);
  }
  return TakeWindows(text, tokenizer, options.seq_len,
                     DrawWindows(available, options.samples, options.seed));
}

absl::StatusOr<TokenWindows> EvaluationWindows(std::span<const std::int32_t> text,
                                               const Tokenizer& tokenizer,
                                               const EvaluationOptions& options) {
  CALDERA_RETURN_IF_ERROR(CheckLength(options.seq_len));
  const auto tokens = static_cast<std::int64_t>(text.size());
  std::int64_t count = tokens / BodyLength(options.seq_len, tokenizer);
  if (count == 0) {
    return base::InvalidArgument("evaluation text too short: {} tokens, one window is {}", tokens,
                                 options.seq_len);
  }
  if (options.max_tokens) {
    if (*options.max_tokens < options.seq_len) {
      return base::InvalidArgument("max_tokens is {}, below one window of {}", *options.max_tokens,
                                   options.seq_len);
    }
    count = std::min(count, *options.max_tokens / options.seq_len);
  }
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  return TakeWindows(text, tokenizer, options.seq_len, numbers);
}

}  // namespace caldera::model
