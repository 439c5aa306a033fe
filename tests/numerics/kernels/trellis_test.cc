#include "numerics/kernels/trellis.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
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

TrellisCode GaussianCode(int state_bits, int bits) {
  return {state_bits, bits, Gaussian(std::size_t{1} << state_bits, 99)};
}

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
  for (int shift = 0; shift < code.state_bits(); shift += code.bits()) {
    state |= static_cast<std::uint64_t>(symbols[t]) << shift;
    t = t == 0 ? symbols.size() - 1 : t - 1;
  }
  return static_cast<std::uint32_t>(state & ((1U << code.state_bits()) - 1));
}

std::vector<float> DecodePlainly(const TrellisCode& code,
                                 const std::vector<std::uint8_t>& symbols) {
  std::vector<float> out(symbols.size());
  for (std::size_t t = 0; t < out.size(); ++t) out[t] = code.value(StateAt(code, symbols, t));
  return out;
}

// The squared distance as the search counts it, in units of limit^2 / 2^15.
std::int64_t FixedDistance(const TrellisCode& code, float x, std::uint32_t state) {
  const int error = std::abs(code.Fixed(x) - code.Fixed(code.value(state)));
  const std::int64_t nearest = std::min(error, 32767);
  return (nearest * nearest + (1 << 14)) >> 15;
}

// The least FixedDistance of any path that starts and ends with this overlap: every edge tried,
// nothing saturated.
std::int64_t BestWithOverlap(const TrellisCode& code, const std::vector<float>& x,
                             std::uint32_t overlap) {
  constexpr std::int64_t kNever = std::int64_t{1} << 40;
  const auto prefixes = static_cast<std::uint32_t>(code.prefixes());
  std::vector<std::int64_t> cost(prefixes, kNever);
  cost[overlap] = 0;
  for (const float value : x) {
    std::vector<std::int64_t> next(prefixes, kNever);
    for (std::uint32_t state = 0; state < prefixes << code.bits(); ++state) {
      std::int64_t& best = next[state & (prefixes - 1)];
      best = std::min(best, cost[state >> code.bits()] + FixedDistance(code, value, state));
    }
    cost = next;
  }
  return cost[overlap];
}

std::int64_t FixedDistanceOfPath(const TrellisCode& code, const std::vector<float>& x,
                                 const std::vector<std::uint8_t>& symbols) {
  std::int64_t sum = 0;
  for (std::size_t t = 0; t < x.size(); ++t) {
    sum += FixedDistance(code, x[t], StateAt(code, symbols, t));
  }
  return sum;
}

struct Setting {
  int state_bits;
  int bits;
};
constexpr Setting kSettings[] = {{9, 2}, {9, 3}, {9, 4}, {10, 2}, {10, 3}, {12, 4}};

TEST(Trellis, DecodesTheCircleOfSymbols) {
  std::mt19937 generator(3);
  for (const Setting& setting : kSettings) {
    const TrellisCode code = GaussianCode(setting.state_bits, setting.bits);
    for (const std::size_t steps : {std::size_t{12}, std::size_t{16}, std::size_t{64}}) {
      std::vector<std::uint8_t> symbols(steps);
      for (auto& symbol : symbols) {
        symbol = static_cast<std::uint8_t>(generator() % (1U << setting.bits));
      }
      std::vector<float> out(steps);
      TrellisDecode(code, symbols, out);
      EXPECT_EQ(out, DecodePlainly(code, symbols));
    }
  }
}

TEST(Trellis, FindsTheBestPathOfItsOverlapAndNearlyTheBestOfAll) {
  for (const Setting& setting : kSettings) {
    const TrellisCode code = GaussianCode(setting.state_bits, setting.bits);
    const auto prefixes = static_cast<std::uint32_t>(code.prefixes());
    TrellisScratch scratch;
    std::int64_t ours = 0;
    std::int64_t best = 0;
    for (const std::size_t steps : {std::size_t{16}, std::size_t{40}, std::size_t{64}}) {
      const std::vector<float> x = Gaussian(steps, static_cast<unsigned>(steps));
      std::vector<std::uint8_t> symbols(steps);
      TrellisEncode(code, x, scratch, symbols);
      const std::int64_t distance = FixedDistanceOfPath(code, x, symbols);
      const std::uint32_t overlap = StateAt(code, symbols, steps - 1) & (prefixes - 1);
      EXPECT_EQ(distance, BestWithOverlap(code, x, overlap));
      std::int64_t least = distance;
      for (std::uint32_t other = 0; other < prefixes; ++other) {
        least = std::min(least, BestWithOverlap(code, x, other));
      }
      ours += distance;
      best += least;
    }
    EXPECT_LE(static_cast<double>(ours), 1.25 * static_cast<double>(best))
        << setting.state_bits << " state bits, " << setting.bits;
  }
}

TEST(Trellis, CountsTheSquaredDistance) {
  const TrellisCode code = GaussianCode(10, 2);
  const std::vector<float> x = Gaussian(64, 7);
  std::vector<std::uint8_t> symbols(x.size());
  TrellisScratch scratch;
  TrellisEncode(code, x, scratch, symbols);
  const double unit = std::pow(static_cast<double>(code.limit()), 2) / 32768;
  const double counted = unit * static_cast<double>(FixedDistanceOfPath(code, x, symbols));
  const double distance = SquaredDistance(x, DecodePlainly(code, symbols));
  EXPECT_NEAR(counted, distance, 64 * unit / 2 + 1e-3 * distance);
}

TEST(Trellis, GivesTheSameSymbolsOnEveryInstructionSet) {
  for (const Setting& setting : kSettings) {
    const TrellisCode code = GaussianCode(setting.state_bits, setting.bits);
    // Some far off the values, so that costs saturate.
    std::vector<float> x = Gaussian(64, 11);
    for (std::size_t t = 20; t < 32; ++t) x[t] *= 20;
    TrellisScratch scratch;
    std::vector<std::uint8_t> expected(x.size());
    TrellisEncode(code, x, scratch, expected);
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      hwy::SetSupportedTargetsForTest(target);
      std::vector<std::uint8_t> symbols(x.size());
      TrellisEncode(code, x, scratch, symbols);
      EXPECT_EQ(symbols, expected) << hwy::TargetName(target);
      hwy::SetSupportedTargetsForTest(0);
    }
  }
}

TEST(Trellis, GivesEveryInputAPath) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const TrellisCode code = GaussianCode(10, 2);
  TrellisScratch scratch;
  for (const float odd : {infinity, -infinity, nan, 1e38F}) {
    std::vector<float> x = Gaussian(24, 5);
    x[3] = x[23] = odd;
    std::vector<std::uint8_t> symbols(x.size(), 255);
    TrellisEncode(code, x, scratch, symbols);
    for (const std::uint8_t symbol : symbols) EXPECT_LT(symbol, 4);
  }
  TrellisEncode(code, {}, scratch, {});
}

TEST(Trellis, ReusesItsMemoryForAnotherShape) {
  const TrellisCode large = GaussianCode(12, 4);
  const TrellisCode small = GaussianCode(9, 2);
  const std::vector<float> x = Gaussian(32, 8);
  std::vector<std::uint8_t> fresh(x.size());
  std::vector<std::uint8_t> reused(x.size());
  TrellisScratch first;
  TrellisEncode(small, x, first, fresh);
  TrellisScratch second;
  TrellisEncode(large, x, second, reused);
  TrellisEncode(small, x, second, reused);
  EXPECT_EQ(fresh, reused);
}

}  // namespace
}  // namespace caldera::kernels
