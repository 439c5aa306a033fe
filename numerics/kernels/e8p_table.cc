#include "numerics/kernels/e8p_table.h"

#include <bit>

namespace caldera::kernels {
namespace {

// Steps above 1/2 of the 8 components: 0, 1, 2 for 1/2, 3/2, 5/2.
using Steps = std::array<int, 8>;

Steps NthStepsInLexicographicOrder(int n) {
  Steps steps{};
  for (int i = 7; i >= 0; --i) {
    steps[static_cast<std::size_t>(i)] = n % 3;
    n /= 3;
  }
  return steps;
}

struct Shape {
  int norm = 0;   // |p|^2
  int fives = 0;  // components 5/2
  int sum = 0;    // of the steps; the sum of the pattern is sum + 4
};

Shape ShapeOf(const Steps& steps) {
  Shape shape;
  int quarters = 0;
  for (const int step : steps) {
    quarters += (2 * step + 1) * (2 * step + 1);
    shape.fives += step == 2 ? 1 : 0;
    shape.sum += step;
  }
  shape.norm = quarters / 4;
  return shape;
}

std::int32_t Word(const Steps& steps, const Shape& shape) {
  std::int32_t word = (shape.sum & 1) << 16;
  for (std::size_t i = 0; i < 8; ++i) word |= steps[i] << (2 * i);
  return word;
}

std::size_t Key(const Steps& steps) {
  std::size_t key = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    if (steps[i] > 0) key |= std::size_t{1} << i;
    if (steps[i] == 2) key += 256 * (i + 1);
  }
  return key;
}

E8pTable BuildE8pTable() {
  constexpr int kAllSteps = 6561;  // 3^8
  constexpr int kNorm12Words = 29;
  E8pTable table{};
  std::int32_t number = 0;
  int norm12 = 0;
  for (int n = 0; n < kAllSteps; ++n) {
    const Steps steps = NthStepsInLexicographicOrder(n);
    const Shape shape = ShapeOf(steps);
    const bool five_threes = shape.norm == 12 && shape.fives == 0;
    if (shape.norm > 10 && !(five_threes && norm12++ < kNorm12Words)) continue;
    table.patterns[static_cast<std::size_t>(number)] = Word(steps, shape);
    table.numbers[Key(steps)] = number++;
  }
  return table;
}

using BallWord = std::array<int, 8>;  // twice the components

BallWord HalfWord(std::uint32_t code) {
  BallWord word{};
  for (std::size_t i = 0; i < 7; ++i) word[i] = (code >> i) & 1 ? -1 : 1;
  word[7] = std::popcount(code) % 2 != 0 ? -1 : 1;
  return word;
}

BallWord PairWord(std::uint32_t code) {
  std::uint32_t rank = code / 4;
  std::size_t i = 0;
  for (; rank >= 7 - i; ++i) rank -= static_cast<std::uint32_t>(7 - i);
  BallWord word{};
  word[i] = code & 1 ? -2 : 2;
  word[i + 1 + rank] = code & 2 ? -2 : 2;
  return word;
}

BallWord WordOfCode(std::uint32_t code) {
  if (code < 128) return HalfWord(code);
  if (code < 240) return PairWord(code - 128);
  BallWord word{};
  if (code < 255) word[code % 8] = code < 248 ? 4 : -4;
  return word;
}

E8BallTable BuildE8BallTable() {
  E8BallTable table{};
  for (std::uint32_t code = 0; code < 256; ++code) {
    const BallWord word = WordOfCode(code);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      bytes |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(word[i])) << (8 * i);
    }
    table.low[code] = static_cast<std::int32_t>(bytes);
    table.high[code] = static_cast<std::int32_t>(bytes >> 32);
  }
  return table;
}

}  // namespace

const E8pTable& GetE8pTable() {
  static const E8pTable table = BuildE8pTable();
  return table;
}

const E8BallTable& GetE8BallTable() {
  static const E8BallTable table = BuildE8BallTable();
  return table;
}

}  // namespace caldera::kernels
