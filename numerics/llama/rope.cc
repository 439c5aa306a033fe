#include "numerics/llama/rope.h"

#include <cmath>
#include <cstddef>
#include <numbers>

namespace caldera::llama {
namespace {

double ScaleForLlama3(double frequency, const model::Llama3RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const auto trained = static_cast<double>(scaling.original_max_position_embeddings);
  if (wavelength > trained / scaling.low_freq_factor) return frequency / scaling.factor;
  if (wavelength < trained / scaling.high_freq_factor) return frequency;
  const double blend = (trained / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - blend) * frequency / scaling.factor + blend * frequency;
}

}  // namespace

std::vector<double> RopeFrequencies(const model::ModelConfig& config) {
  std::vector<double> frequencies(static_cast<std::size_t>(config.head_dim / 2));
  for (std::size_t k = 0; k < frequencies.size(); ++k) {
    const double exponent = 2.0 * static_cast<double>(k) / static_cast<double>(config.head_dim);
    double frequency = std::pow(config.rope_theta, -exponent);
    if (config.rope_linear_factor) frequency /= *config.rope_linear_factor;
    if (config.rope_llama3) frequency = ScaleForLlama3(frequency, *config.rope_llama3);
    frequencies[k] = frequency;
  }
  return frequencies;
}

RopeTable MakeRopeTable(const model::ModelConfig& config, std::int64_t positions) {
  const std::vector<double> frequencies = RopeFrequencies(config);
  const auto pairs = static_cast<std::int64_t>(frequencies.size());
  RopeTable table{linalg::MatrixF(positions, pairs), linalg::MatrixF(positions, pairs)};
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t k = 0; k < pairs; ++k) {
      const double angle = static_cast<double>(p) * frequencies[static_cast<std::size_t>(k)];
      table.cosine(p, k) = static_cast<float>(std::cos(angle));
      table.sine(p, k) = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace caldera::llama
