#include "numerics/lattice/trellis_codebook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace caldera::lattice {
namespace {

constexpr std::size_t kComponents = kCodeDimension;
constexpr std::size_t kSequence = 8;  // vectors
constexpr std::size_t kMaxSteps = kSequence * kComponents;

// The standard normal quantile of p <= 1/2. Phi is convex there, so Newton's steps from 0 never
// pass the root.
double LowerQuantile(double p) {
  constexpr int kSteps = 100;
  double x = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double excess = std::erfc(-x / std::numbers::sqrt2) / 2 - p;
    const double density = std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    const double next = x - excess / density;
    if (next >= x) break;
    x = next;
  }
  return x;
}

std::uint32_t MultiplierOf(int state_bits, base::Bits bits) {
  const auto column = static_cast<std::size_t>(bits.value() - 2);
  constexpr std::array<std::uint32_t, 3> kTen = {757, 633, 633};
  constexpr std::array<std::uint32_t, 3> kTwelve = {1137, 2531, 1585};
  return state_bits == 10 ? kTen[column] : kTwelve[column];
}

std::vector<float> ValuesOf(int state_bits, base::Bits bits) {
  const std::uint32_t states = 1U << state_bits;
  const std::uint32_t multiplier = MultiplierOf(state_bits, bits);
  std::vector<float> values(states);
  for (std::uint32_t s = 0; s < states; ++s) {
    const std::uint32_t place = (multiplier * s) & (states - 1);
    const std::uint32_t mirrored = std::min(place, states - 1 - place);
    const auto value = static_cast<float>(LowerQuantile((mirrored + .5) / states));
    values[s] = place == mirrored ? value : -value;
  }
  return values;
}

}  // namespace

TrellisCodebook::TrellisCodebook(int state_bits, base::Bits bits)
    : bits_(bits), code_(state_bits, bits.value(), ValuesOf(state_bits, bits)) {}

double TrellisCodebook::gaussian_error() const {
  const auto column = static_cast<std::size_t>(bits_.value() - 2);
  constexpr std::array<double, 3> kTen = {.0748, .0193, .0052};
  constexpr std::array<double, 3> kTwelve = {.0742, .0188, .0048};
  return code_.state_bits() == 10 ? kTen[column] : kTwelve[column];
}

void TrellisCodebook::Encode(const float* x, std::size_t stride, std::size_t count,
                             std::uint32_t* codes, float* decoded) const {
  thread_local kernels::TrellisScratch scratch;
  std::array<float, kMaxSteps> values;
  std::array<std::uint8_t, kMaxSteps> symbols;
  for (std::size_t first = 0; first < count; first += kSequence) {
    const std::size_t vectors = std::min(kSequence, count - first);
    const std::size_t steps = vectors * kComponents;
    for (std::size_t t = 0; t < steps; ++t) {
      values[t] = x[t % kComponents * stride + first + t / kComponents];
    }
    kernels::TrellisEncode(code_, std::span(values).first(steps), scratch,
                           std::span(symbols).first(steps));
    std::fill_n(codes + first, vectors, 0U);
    for (std::size_t t = 0; t < steps; ++t) {
      codes[first + t / kComponents] |=
          static_cast<std::uint32_t>(symbols[t])
          << (static_cast<unsigned>(bits_.value()) * (t % kComponents));
    }
    if (decoded == nullptr) continue;
    kernels::TrellisDecode(code_, std::span(symbols).first(steps), std::span(values).first(steps));
    for (std::size_t t = 0; t < steps; ++t) {
      decoded[t % kComponents * stride + first + t / kComponents] = values[t];
    }
  }
}

void TrellisCodebook::Decode(const CodeRows& codes, float* out, std::size_t stride) const {
  const auto bits = static_cast<unsigned>(bits_.value());
  const std::uint32_t mask = (1U << bits) - 1;
  std::array<float, kMaxSteps> values;
  std::array<std::uint8_t, kMaxSteps> symbols;
  for (std::size_t first = 0; first < codes.rows; first += kSequence) {
    const std::size_t steps = std::min(kSequence, codes.rows - first) * kComponents;
    for (std::size_t j = 0; j < codes.columns; ++j) {
      for (std::size_t t = 0; t < steps; ++t) {
        const std::uint32_t word = codes.data[(first + t / kComponents) * codes.stride + j];
        symbols[t] = static_cast<std::uint8_t>((word >> (bits * (t % kComponents))) & mask);
      }
      kernels::TrellisDecode(code_, std::span(symbols).first(steps),
                             std::span(values).first(steps));
      for (std::size_t t = 0; t < steps; ++t)
        out[(first * kComponents + t) * stride + j] = values[t];
    }
  }
}

}  // namespace caldera::lattice
