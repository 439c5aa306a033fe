// Logging: one line per event, JSON for machines or text for people, to stderr.
//
// A Logger is a small value, copied into whoever logs; main() makes the first one. The default
// Logger discards everything. Fields (job, layer, attempt, rank, worker ...) are bound with With()
// and appear in every line of the copy. Values of fields whose name speaks of a secret, and
// whatever follows "Bearer ", are printed as "***". Thread rule: all methods are safe from several
// threads at once.
#ifndef CALDERA_COMMON_BASE_LOG_H_
#define CALDERA_COMMON_BASE_LOG_H_

#include <fmt/format.h>

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"

namespace caldera::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
// "debug", "info", "warning", "error"; INVALID_ARGUMENT for other names.
absl::StatusOr<LogLevel> ParseLogLevel(const std::string& name);

enum class LogFormat {
  kAuto,  // text when stderr is a terminal, else JSON
  kJson,  // {"time":"2024-05-01T12:00:00.123456Z","level":"info","message":"..","job":"..."}
  kText,  // 12:00:00.123 info  message  job=... layer=3
};

struct LogOptions {
  LogFormat format = LogFormat::kAuto;
  LogLevel minimum = LogLevel::kInfo;
  const Clock* clock = nullptr;  // not owned, outlives the loggers; nullptr = system time
};

// A value printed beside the message: text, or a whole number (printed without quotes in JSON).
struct LogField {
  LogField(std::string key_name, std::string text)
      : key(std::move(key_name)), value(std::move(text)) {}
  LogField(std::string key_name, const char* text) : key(std::move(key_name)), value(text) {}
  LogField(std::string key_name, std::int64_t number)
      : key(std::move(key_name)), value(std::to_string(number)), is_number(true) {}
  LogField(std::string key_name, int number)
      : LogField(std::move(key_name), static_cast<std::int64_t>(number)) {}

  std::string key;
  std::string value;
  bool is_number = false;
};

class Logger {
 public:
  Logger() = default;
  static Logger ToStderr(const LogOptions& options);
  // `stream` outlives the logger and its copies; kAuto means JSON here.
  static Logger ToStream(std::ostream& stream, const LogOptions& options);

  // A copy that adds `fields` to every line; a later field replaces an earlier one of the same key.
  Logger With(const std::vector<LogField>& fields) const;

  // One line from a format, such as "layer {} done in {:.1f} s", and its values.
  template <typename... Args>
  void Debug(fmt::format_string<Args...> format, Args&&... args) const {
    Log(LogLevel::kDebug, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Info(fmt::format_string<Args...> format, Args&&... args) const {
    Log(LogLevel::kInfo, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Warning(fmt::format_string<Args...> format, Args&&... args) const {
    Log(LogLevel::kWarning, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void Error(fmt::format_string<Args...> format, Args&&... args) const {
    Log(LogLevel::kError, format, std::forward<Args>(args)...);
  }

  bool Enabled(LogLevel level) const;
  // One line; `message` may hold anything (it is escaped).
  void Write(LogLevel level, const std::string& message) const;

 private:
  class Sink;
  explicit Logger(std::shared_ptr<const Sink> sink) : sink_(std::move(sink)) {}
  template <typename... Args>
  void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
    if (Enabled(level)) Write(level, fmt::format(format, std::forward<Args>(args)...));
  }

  std::shared_ptr<const Sink> sink_;
  std::vector<LogField> fields_;
};

}  // namespace caldera::base

#endif  // CALDERA_COMMON_BASE_LOG_H_
