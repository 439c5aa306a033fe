// Aborts when the program itself is wrong (a broken invariant). Never for bad input: that is a
// Status.
#ifndef CALDERA_COMMON_BASE_CHECK_H_
#define CALDERA_COMMON_BASE_CHECK_H_

#include <fmt/format.h>

#include <string>

namespace caldera::base {

// Where a check stands, and what it said.
struct CheckSite {
  const char* file;
  int line;
  const char* condition;
};

// Writes "file:line: check failed: condition: message" to stderr and aborts.
[[noreturn]] void CheckFailed(const CheckSite& site, const std::string& message);

}  // namespace caldera::base

// CALDERA_CHECK(rows > 0, "matrix {} is empty", name): always on, in every build type. The message
// is formatted only on failure.
#define CALDERA_CHECK(condition, ...)                                                             \
  do {                                                                                            \
    if (!(condition)) [[unlikely]] {                                                              \
      ::caldera::base::CheckFailed({__FILE__, __LINE__, #condition}, ::fmt::format(__VA_ARGS__)); \
    }                                                                                             \
  } while (false)

#endif  // CALDERA_COMMON_BASE_CHECK_H_
