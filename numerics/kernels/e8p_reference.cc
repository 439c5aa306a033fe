#include "numerics/kernels/e8p_reference.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>

#include "numerics/kernels/e8p_table.h"

namespace caldera::kernels::reference {
namespace {

using Pattern = std::array<double, 8>;

Pattern PatternOf(std::uint32_t number) {
  const auto word = static_cast<std::uint32_t>(GetE8pTable().patterns[number]);
  Pattern pattern;
  for (std::size_t i = 0; i < 8; ++i) pattern[i] = 0.5 + ((word >> (2 * i)) & 3);
  return pattern;
}

bool IsOdd(std::uint32_t number) {
  return (static_cast<std::uint32_t>(GetE8pTable().patterns[number]) >> 16) != 0;
}

// A pattern against |x|: 2 <|x|, p> - |p|^2, less 4 min |x_i| p_i when a sign must flip.
struct Scored {
  double score = -std::numeric_limits<double>::infinity();
  std::size_t cheapest = 0;  // the component that costs least to flip
  bool flip = false;
};

Scored Score(const Pattern& x, const Pattern& pattern, bool flip) {
  Scored scored{0, 0, flip};
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < 8; ++i) {
    const double product = std::abs(x[i]) * pattern[i];
    scored.score += 2 * product - pattern[i] * pattern[i];
    if (product < least) scored.cheapest = i;
    least = std::min(least, product);
  }
  if (flip) scored.score -= 4 * least;
  return scored;
}

std::uint32_t NegativeBits(const Pattern& x) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 8; ++i) bits |= std::signbit(x[i]) ? 1U << i : 0U;
  return bits;
}

struct Nearest {
  std::uint32_t code = 0;
  double distance = std::numeric_limits<double>::infinity();  // squared
};

Nearest NearestWithShift(const Word8& y, bool plus) {
  Pattern x;
  double norm = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    x[i] = y[i] - (plus ? 0.25 : -0.25);
    norm += x[i] * x[i];
  }
  const std::uint32_t negative = NegativeBits(x);
  Nearest best;
  for (std::uint32_t number = 0; number < 256; ++number) {
    const bool flip = (std::popcount(negative) % 2 != 0) != IsOdd(number);
    const Scored scored = Score(x, PatternOf(number), flip);
    if (norm - scored.score >= best.distance) continue;
    const std::uint32_t signs = negative ^ (flip ? 1U << scored.cheapest : 0U);
    best = {number | (signs & 0x7F) << 8 | (plus ? 1U << 15 : 0U), norm - scored.score};
  }
  return best;
}

Word8 Residual(const Word8& x, const Word8& word, float scale) {
  Word8 residual;
  for (std::size_t i = 0; i < 8; ++i) residual[i] = (x[i] - word[i]) * scale;
  return residual;
}

double SquaredDistance(const Word8& x, const Word8& y) {
  double sum = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += difference * difference;
  }
  return sum;
}

// The first stage with its best second one.
Nearest TwoStages(E8pResidual residual, const Word8& x, const Nearest& first) {
  if (residual == E8pResidual::kNone) return first;
  const bool ball = residual == E8pResidual::kBall;
  const float scale = ball ? kE8pBallResidualScale : kE8pE8pResidualScale;
  const Word8 rest = Residual(x, E8pWord(first.code), scale);
  const std::uint32_t second = ball ? NearestInE8Ball(rest) : NearestE8p(rest);
  const std::uint32_t code = first.code | second << 16;
  return {code, SquaredDistance(x, DecodeVector(residual, code))};
}

}  // namespace

Word8 E8pWord(std::uint32_t code) {
  const Pattern pattern = PatternOf(code & 0xFF);
  std::uint32_t signs = (code >> 8) & 0x7F;
  if ((std::popcount(signs) % 2 != 0) != IsOdd(code & 0xFF)) signs |= 0x80;
  Word8 word;
  for (std::size_t i = 0; i < 8; ++i) {
    const double magnitude = (signs >> i) & 1 ? -pattern[i] : pattern[i];
    word[i] = static_cast<float>(magnitude + ((code >> 15) & 1 ? 0.25 : -0.25));
  }
  return word;
}

Word8 E8BallWord(std::uint32_t code) {
  const E8BallTable& table = GetE8BallTable();
  Word8 word;
  for (std::size_t i = 0; i < 8; ++i) {
    const auto half = static_cast<std::uint32_t>(i < 4 ? table.low[code] : table.high[code]);
    word[i] = 0.5F * static_cast<float>(static_cast<std::int8_t>(half >> (8 * (i % 4))));
  }
  return word;
}

Word8 DecodeVector(E8pResidual residual, std::uint32_t code) {
  Word8 word = E8pWord(code & 0xFFFF);
  if (residual == E8pResidual::kNone) return word;
  const bool ball = residual == E8pResidual::kBall;
  const Word8 second = ball ? E8BallWord((code >> 16) & 0xFF) : E8pWord(code >> 16);
  const float scale = ball ? kE8pBallResidualScale : kE8pE8pResidualScale;
  for (std::size_t i = 0; i < 8; ++i) word[i] += second[i] * (1.0F / scale);
  return word;
}

std::uint32_t NearestE8p(const Word8& x) {
  const Nearest plus = NearestWithShift(x, true);
  const Nearest minus = NearestWithShift(x, false);
  return plus.distance < minus.distance ? plus.code : minus.code;
}

std::uint32_t NearestInE8Ball(const Word8& x) {
  Nearest best;
  for (std::uint32_t code = 0; code < 256; ++code) {
    const Word8 word = E8BallWord(code);
    const double distance = SquaredDistance(x, word);
    if (distance < best.distance) best = {code, distance};
  }
  return best.code;
}

std::uint32_t EncodeVector(E8pResidual residual, const Word8& x) {
  if (residual != E8pResidual::kE8p) return TwoStages(residual, x, {NearestE8p(x), 0}).code;
  const Nearest plus = TwoStages(residual, x, NearestWithShift(x, true));
  const Nearest minus = TwoStages(residual, x, NearestWithShift(x, false));
  return plus.distance < minus.distance ? plus.code : minus.code;
}

}  // namespace caldera::kernels::reference
