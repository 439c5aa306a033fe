#include "numerics/lattice/codebook.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace caldera::lattice {
namespace {

const Codebook& E8p(int bits) {
  return **FindCodebook(model::CodebookKind::kE8P, base::Bits(bits));
}

// Mean squared error over variance of Gaussian input, and its standard error.
struct GaussianError {
  double mean = 0;
  double standard_error = 0;
};

GaussianError MeasureGaussianError(const Codebook& codebook, std::size_t count) {
  std::mt19937 generator(11);
  std::normal_distribution<float> normal(0.0F, codebook.input_rms());
  std::vector<float> x(8 * count);
  for (float& value : x) value = normal(generator);
  std::vector<float> decoded(x.size());
  std::vector<std::uint32_t> codes(count);
  codebook.Encode(x.data(), count, count, codes.data(), decoded.data());
  double sum = 0;
  double sum_of_squares = 0;
  for (std::size_t k = 0; k < count; ++k) {
    double error = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      error += std::pow(double{x[i * count + k]} - double{decoded[i * count + k]}, 2) / 8;
    }
    sum += error;
    sum_of_squares += error * error;
  }
  const double n = static_cast<double>(count);
  const double variance = sum_of_squares / n - (sum / n) * (sum / n);
  const double power = std::pow(codebook.input_rms(), 2);
  return {sum / n / power, std::sqrt(variance / n) / power};
}

TEST(Codebook, ExistsForTwoThreeAndFourBits) {
  for (const int bits : {2, 3, 4}) {
    EXPECT_EQ(E8p(bits).bits(), base::Bits(bits));
    EXPECT_EQ(E8p(bits).exact(), bits == 2);
  }
  for (const int bits : {0, 1, 5, 8}) {
    const auto codebook = FindCodebook(model::CodebookKind::kE8P, base::Bits(bits));
    EXPECT_EQ(codebook.status().code(), absl::StatusCode::kUnimplemented);
  }
}

TEST(Codebook, IsTheSameObjectEveryTime) { EXPECT_EQ(&E8p(2), &E8p(2)); }

TEST(Codebook, ReachesItsDocumentedGaussianError) {
  // The documented figures have a rounding; four standard errors for the sample.
  const struct {
    int bits;
    double error;
    double rounding;
  } kExpected[] = {{2, 0.09145, 0.00005}, {3, 0.02955, 0.00005}, {4, 0.00791, 0.00001}};
  for (const auto& expected : kExpected) {
    const GaussianError measured = MeasureGaussianError(E8p(expected.bits), 200000);
    EXPECT_NEAR(measured.mean, expected.error, expected.rounding + 4 * measured.standard_error)
        << expected.bits << " bits";
  }
}

TEST(Codebook, CodesFitTheirWidthAndDecodeToWhatEncodeReturned) {
  std::mt19937 generator(12);
  std::normal_distribution<float> normal(0.0F, 1.5F);
  for (const int bits : {2, 3, 4}) {
    constexpr std::size_t kCount = 37;
    std::vector<float> x(8 * kCount);
    for (float& value : x) value = normal(generator);
    std::vector<float> decoded(x.size());
    std::vector<std::uint32_t> codes(kCount);
    E8p(bits).Encode(x.data(), kCount, kCount, codes.data(), decoded.data());
    for (const std::uint32_t code : codes) {
      EXPECT_EQ(bits == 4 ? 0U : code >> (8 * bits), 0U);
    }
    std::vector<float> again(x.size());
    E8p(bits).Decode(codes.data(), kCount, again.data(), kCount);
    EXPECT_EQ(again, decoded);
  }
}

}  // namespace
}  // namespace caldera::lattice
