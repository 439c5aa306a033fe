#include "numerics/kernels/trellis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace caldera::kernels {
namespace {

std::vector<float> Gaussian(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) value = normal(generator);
  return x;
}

struct Table {
  Table(int state_bits, int bits)
      : values(Gaussian(std::size_t{1} << state_bits, 99)), code{state_bits, bits, values.data()} {}
  std::vector<float> values;
  TrellisCode code;
};

double SquaredDistance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return sum;
}

// The state at step t of symbols on a circle, symbol by symbol.
std::uint32_t StateAt(const TrellisCode& code, const std::vector<std::uint8_t>& symbols,
                      std::size_t t) {
  std::uint64_t state = 0;
  for (int shift = 0; shift < code.state_bits; shift += code.bits) {
    state |= static_cast<std::uint64_t>(symbols[t]) << shift;
    t = t == 0 ? symbols.size() - 1 : t - 1;
  }
  return static_cast<std::uint32_t>(state & ((1U << code.state_bits) - 1));
}

std::vector<float> DecodePlainly(const TrellisCode& code,
                                 const std::vector<std::uint8_t>& symbols) {
  std::vector<float> out(symbols.size());
  for (std::size_t t = 0; t < out.size(); ++t) out[t] = code.values[StateAt(code, symbols, t)];
  return out;
}

// The least squared distance of any path that starts and ends with this overlap: every edge tried,
// in float64.
double BestWithOverlap(const TrellisCode& code, const std::vector<float>& x,
                       std::uint32_t overlap) {
  const std::uint32_t states = 1U << code.state_bits;
  const std::uint32_t prefixes = states >> code.bits;
  std::vector<double> cost(prefixes, std::numeric_limits<double>::infinity());
  cost[overlap] = 0;
  for (const float value : x) {
    std::vector<double> next(prefixes, std::numeric_limits<double>::infinity());
    for (std::uint32_t state = 0; state < states; ++state) {
      const double error = static_cast<double>(value) - static_cast<double>(code.values[state]);
      double& best = next[state & (prefixes - 1)];
      best = std::min(best, cost[state >> code.bits] + error * error);
    }
    cost = next;
  }
  return cost[overlap];
}

struct Setting {
  int state_bits;
  int bits;
};
constexpr Setting kSettings[] = {{8, 1}, {8, 2}, {8, 3}, {8, 4}, {10, 2}, {10, 3}, {12, 4}};

TEST(Trellis, DecodesTheCircleOfSymbols) {
  std::mt19937 generator(3);
  for (const Setting& setting : kSettings) {
    const Table table(setting.state_bits, setting.bits);
    for (const std::size_t steps : {std::size_t{12}, std::size_t{16}, std::size_t{64}}) {
      std::vector<std::uint8_t> symbols(steps);
      for (auto& symbol : symbols) {
        symbol = static_cast<std::uint8_t>(generator() % (1U << setting.bits));
      }
      std::vector<float> out(steps);
      TrellisDecode(table.code, symbols, out);
      EXPECT_EQ(out, DecodePlainly(table.code, symbols));
    }
  }
}

TEST(Trellis, FindsTheBestPathOfItsOverlapAndNearlyTheBestOfAll) {
  for (const Setting& setting : kSettings) {
    const Table table(setting.state_bits, setting.bits);
    const std::uint32_t prefixes = 1U << (setting.state_bits - setting.bits);
    TrellisScratch scratch;
    double ours = 0;
    double best = 0;
    for (const std::size_t steps : {std::size_t{16}, std::size_t{40}, std::size_t{64}}) {
      const std::vector<float> x = Gaussian(steps, static_cast<unsigned>(steps));
      std::vector<std::uint8_t> symbols(steps);
      TrellisEncode(table.code, x, scratch, symbols);
      const double distance = SquaredDistance(x, DecodePlainly(table.code, symbols));
      const std::uint32_t overlap = StateAt(table.code, symbols, steps - 1) & (prefixes - 1);
      EXPECT_NEAR(distance, BestWithOverlap(table.code, x, overlap), 1e-4 * (1 + distance));
      double least = std::numeric_limits<double>::infinity();
      for (std::uint32_t other = 0; other < prefixes; ++other) {
        least = std::min(least, BestWithOverlap(table.code, x, other));
      }
      EXPECT_GE(distance, least * (1 - 1e-5));
      ours += distance;
      best += least;
    }
    EXPECT_LE(ours, 1.25 * best) << setting.state_bits << " state bits, " << setting.bits;
  }
}

TEST(Trellis, GivesEveryInputAPath) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Table table(10, 2);
  TrellisScratch scratch;
  for (const float odd : {infinity, -infinity, nan, 1e38F}) {
    std::vector<float> x = Gaussian(24, 5);
    x[3] = x[23] = odd;
    std::vector<std::uint8_t> symbols(x.size(), 255);
    TrellisEncode(table.code, x, scratch, symbols);
    for (const std::uint8_t symbol : symbols) EXPECT_LT(symbol, 4);
  }
  TrellisEncode(table.code, {}, scratch, {});
}

TEST(Trellis, ReusesItsMemoryForAnotherShape) {
  const Table large(12, 4);
  const Table small(8, 1);
  const std::vector<float> x = Gaussian(32, 8);
  std::vector<std::uint8_t> fresh(x.size());
  std::vector<std::uint8_t> reused(x.size());
  TrellisScratch first;
  TrellisEncode(small.code, x, first, fresh);
  TrellisScratch second;
  TrellisEncode(large.code, x, second, reused);
  TrellisEncode(small.code, x, second, reused);
  EXPECT_EQ(fresh, reused);
}

}  // namespace
}  // namespace caldera::kernels
