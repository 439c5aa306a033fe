#include "numerics/lattice/codebook.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
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

const Codebook& Trellis(int state_bits, int bits) {
  const auto kind = model::ParseCodebook("trellis-" + std::to_string(state_bits));
  return **FindCodebook(*kind, base::Bits(bits));
}

std::vector<const Codebook*> AllCodebooks() {
  std::vector<const Codebook*> all;
  for (const int bits : {2, 3, 4}) {
    for (const Codebook* codebook : {&E8p(bits), &Trellis(10, bits), &Trellis(12, bits)}) {
      all.push_back(codebook);
    }
  }
  return all;
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

TEST(Codebook, TrellisesReachTheirDocumentedGaussianError) {
  const struct {
    int state_bits;
    int bits;
    double error;
  } kExpected[] = {{10, 2, .0748}, {10, 3, .0193}, {10, 4, .0052},
                   {12, 2, .0742}, {12, 3, .0188}, {12, 4, .0048}};
  for (const auto& expected : kExpected) {
    const GaussianError measured =
        MeasureGaussianError(Trellis(expected.state_bits, expected.bits), 16000);
    EXPECT_NEAR(measured.mean, expected.error, .00005 + 4 * measured.standard_error)
        << expected.state_bits << " state bits, " << expected.bits << " bits";
  }
}

TEST(Codebook, TrellisValuesAreNormalQuantiles) {
  // A code word of zeros decodes to the value of state 0, the quantile of 1 / 2^(L + 1).
  const std::vector<std::uint32_t> zeros(8, 0);
  std::vector<float> values(64);
  Trellis(10, 2).Decode({zeros.data(), 8, 1, 1}, values.data(), 1);
  for (const float value : values) {
    EXPECT_FLOAT_EQ(value, -3.2971935F);
    EXPECT_NEAR(std::erfc(-static_cast<double>(value) / std::sqrt(2.0)) / 2, .5 / 1024, 1e-9);
  }
}

TEST(Codebook, CodesFitTheirWidthAndDecodeToWhatEncodeReturned) {
  std::mt19937 generator(12);
  std::normal_distribution<float> normal(0.0F, 1.5F);
  for (const Codebook* codebook : AllCodebooks()) {
    constexpr std::size_t kCount = 37;
    const int bits = codebook->bits().value();
    std::vector<float> x(8 * kCount);
    for (float& value : x) value = normal(generator);
    std::vector<float> decoded(x.size());
    std::vector<std::uint32_t> codes(kCount);
    codebook->Encode(x.data(), kCount, kCount, codes.data(), decoded.data());
    for (const std::uint32_t code : codes) {
      EXPECT_EQ(bits == 4 ? 0U : code >> (8 * bits), 0U);
    }
    // Encode has vectors side by side, Decode has them one below the other.
    std::vector<float> again(x.size());
    codebook->Decode({codes.data(), kCount, 1, 1}, again.data(), 1);
    for (std::size_t k = 0; k < kCount; ++k) {
      for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(again[8 * k + i], decoded[i * kCount + k]);
    }
  }
}

}  // namespace
}  // namespace caldera::lattice
