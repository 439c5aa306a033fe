#include "tests/fuzz/number_mutator.h"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <random>
#include <string_view>
#include <vector>

namespace caldera::fuzz {
namespace {

constexpr const char* kEnds[] = {"0",
                                 "1",
                                 "-1",
                                 "2147483647",
                                 "2147483648",
                                 "-2147483648",
                                 "4294967295",
                                 "4294967296",
                                 "4611686018427387904",
                                 "9223372036854775807",
                                 "9223372036854775808",
                                 "-9223372036854775808",
                                 "18446744073709551615",
                                 "1e308",
                                 "0.5"};

struct Number {
  std::size_t begin = 0;
  std::size_t length = 0;
};

std::vector<Number> NumbersOf(const std::string& text) {
  std::vector<Number> numbers;
  const auto digit = [&text](std::size_t at) {
    return at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!digit(at)) continue;
    std::size_t end = at;
    while (digit(end)) ++end;
    numbers.push_back({at, end - at});
    at = end;
  }
  return numbers;
}

// What an old number becomes under `choice`.
std::string Another(std::string_view old, std::size_t choice) {
  if (choice < std::size(kEnds)) return kEnds[choice];
  std::uint64_t value = 0;
  std::from_chars(old.data(), old.data() + old.size(), value);
  const std::uint64_t others[] = {value + 1, value - 1, value * 2};
  return std::to_string(others[choice - std::size(kEnds)]);
}

}  // namespace

std::string WithAnotherNumber(const std::string& input, unsigned seed) {
  const std::vector<Number> numbers = NumbersOf(input);
  if (numbers.empty()) return input;
  std::minstd_rand random(seed);
  const Number number = numbers[random() % numbers.size()];
  const std::string other = Another(std::string_view(input).substr(number.begin, number.length),
                                    random() % (std::size(kEnds) + 3));
  std::string changed = input;
  return changed.replace(number.begin, number.length, other);
}

}  // namespace caldera::fuzz
