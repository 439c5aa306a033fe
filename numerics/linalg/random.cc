#include "numerics/linalg/random.h"

#include <cmath>
#include <numbers>

#include "numerics/kernels/parallel.h"

namespace caldera::linalg {
namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;  // golden ratio
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;  // sqrt(3) - 1

std::uint32_t Low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t High(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

std::array<std::uint32_t, 4> Draw(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return Philox({Low(index), High(index), Low(stream), High(stream)}, {Low(seed), High(seed)});
}

std::uint64_t Join(std::uint32_t high, std::uint32_t low) {
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// The upper 53 bits as a multiple of 2^-53.
double UnitInterval(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

std::array<std::uint32_t, 4> Philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key) {
  std::array<std::uint32_t, 4> x = counter;
  std::array<std::uint32_t, 2> k = key;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = static_cast<std::uint64_t>(kMultiplier0) * x[0];
    const std::uint64_t product1 = static_cast<std::uint64_t>(kMultiplier1) * x[2];
    x = {High(product1) ^ x[1] ^ k[0], Low(product1), High(product0) ^ x[3] ^ k[1], Low(product0)};
    k[0] += kWeyl0;
    k[1] += kWeyl1;
  }
  return x;
}

std::uint64_t Random::Bits(std::uint64_t index) const {
  const auto words = Draw(seed_, stream_, index);
  return Join(words[0], words[1]);
}

double Random::Uniform(std::uint64_t index) const { return UnitInterval(Bits(index)); }

double Random::Normal(std::uint64_t index) const {
  const auto words = Draw(seed_, stream_, index);
  // 1 - u lies in (0, 1], so the logarithm is finite.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - UnitInterval(Join(words[0], words[1]))));
  const double angle = 2.0 * std::numbers::pi * UnitInterval(Join(words[2], words[3]));
  return radius * std::cos(angle);
}

float Random::Sign(std::uint64_t index) const { return (Bits(index) >> 63) != 0 ? -1.0F : 1.0F; }

void Random::FillNormal(std::span<float> values, std::uint64_t first) const {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(Normal(first + i));
}

void Random::FillSigns(std::span<float> values, std::uint64_t first) const {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = Sign(first + i);
}

void Random::FillNormal(ViewF matrix, std::int64_t first_row) const {
  kernels::ParallelFor(matrix.rows, [&](std::int64_t i) {
    FillNormal({matrix.row(i), static_cast<std::size_t>(matrix.columns)},
               static_cast<std::uint64_t>((first_row + i) * matrix.columns));
  });
}

}  // namespace caldera::linalg
