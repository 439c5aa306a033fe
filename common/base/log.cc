#include "common/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace caldera::base {
namespace {

constexpr std::array<const char*, 4> kLevelNames = {"debug", "info", "warning", "error"};
constexpr char kHidden[] = "***";

const char* NameOf(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

bool NamesASecret(const std::string& key) {
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<const char*, 4> kWords = {"token", "secret", "password", "authorization"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&lower](const char* word) { return lower.find(word) != std::string::npos; });
}

std::string HideBearerTokens(std::string text) {
  static constexpr char kMark[] = "Bearer ";
  std::size_t at = 0;
  while ((at = text.find(kMark, at)) != std::string::npos) {
    at += sizeof(kMark) - 1;
    const std::size_t end = std::min(text.find_first_of(" \t\r\n\"',", at), text.size());
    text.replace(at, end - at, kHidden);
  }
  return text;
}

std::string ShownValue(const LogField& field) {
  return NamesASecret(field.key) ? kHidden : HideBearerTokens(field.value);
}

std::string FormatTime(absl::Time time, const std::string& format) {
  return absl::FormatTime(format, time, absl::UTCTimeZone());
}

std::string JsonLine(absl::Time time, LogLevel level, const std::string& message,
                     const std::vector<LogField>& fields) {
  std::string line =
      fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}",
                  FormatTime(time, "%Y-%m-%d%ET%H:%M:%E6SZ"), NameOf(level), JsonQuote(message));
  for (const LogField& field : fields) {
    const std::string value = ShownValue(field);
    const bool bare = field.is_number && value != kHidden;
    line += fmt::format(",{}:{}", JsonQuote(field.key), bare ? value : JsonQuote(value));
  }
  return line + "}";
}

// Escaped like JSON without the quotes, so that no message can forge a second line.
std::string Escaped(const std::string& text) {
  const std::string quoted = JsonQuote(text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string TextLine(absl::Time time, LogLevel level, const std::string& message,
                     const std::vector<LogField>& fields) {
  std::string line =
      fmt::format("{} {:<7} {}", FormatTime(time, "%H:%M:%E3S"), NameOf(level), Escaped(message));
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.key, Escaped(ShownValue(field)));
  }
  return line;
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(const std::string& name) {
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), name);
  if (found == kLevelNames.end()) {
    return InvalidArgument("log level \"{}\": expected debug, info, warning or error", name);
  }
  return static_cast<LogLevel>(found - kLevelNames.begin());
}

// Owns the spdlog sink, which locks around each line.
class Logger::Sink {
 public:
  Sink(spdlog::sink_ptr sink, const LogOptions& options, LogFormat format)
      : logger_("caldera", std::move(sink)), options_(options), format_(format) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    logger_.flush_on(spdlog::level::trace);
  }
  LogLevel minimum() const { return options_.minimum; }
  void Write(LogLevel level, const std::string& message,
             const std::vector<LogField>& fields) const {
    const absl::Time now = options_.clock != nullptr ? options_.clock->Now() : absl::Now();
    const std::string shown = HideBearerTokens(message);
    logger_.info(spdlog::string_view_t(format_ == LogFormat::kJson
                                           ? JsonLine(now, level, shown, fields)
                                           : TextLine(now, level, shown, fields)));
  }

 private:
  mutable spdlog::logger logger_;
  LogOptions options_;
  LogFormat format_;
};

Logger Logger::ToStderr(const LogOptions& options) {
  LogFormat format = options.format;
  if (format == LogFormat::kAuto) {
    format = isatty(STDERR_FILENO) != 0 ? LogFormat::kText : LogFormat::kJson;
  }
  return Logger(
      std::make_shared<Sink>(std::make_shared<spdlog::sinks::stderr_sink_mt>(), options, format));
}

Logger Logger::ToStream(std::ostream& stream, const LogOptions& options) {
  const LogFormat format = options.format == LogFormat::kAuto ? LogFormat::kJson : options.format;
  return Logger(std::make_shared<Sink>(std::make_shared<spdlog::sinks::ostream_sink_mt>(stream),
                                       options, format));
}

Logger Logger::With(const std::vector<LogField>& fields) const {
  Logger copy = *this;
  for (const LogField& field : fields) {
    const auto same = [&field](const LogField& other) { return other.key == field.key; };
    const auto found = std::find_if(copy.fields_.begin(), copy.fields_.end(), same);
    if (found != copy.fields_.end()) {
      *found = field;
    } else {
      copy.fields_.push_back(field);
    }
  }
  return copy;
}

bool Logger::Enabled(LogLevel level) const { return sink_ && level >= sink_->minimum(); }

void Logger::Write(LogLevel level, const std::string& message) const {
  if (Enabled(level)) sink_->Write(level, message, fields_);
}

}  // namespace caldera::base
