#include "numerics/kernels/e8p.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "numerics/kernels/e8p_reference.h"
#include "numerics/kernels/e8p_table.h"

namespace caldera::kernels {
namespace {

using reference::Word8;

constexpr E8pResidual kAllCodes[] = {E8pResidual::kNone, E8pResidual::kBall, E8pResidual::kE8p};

// 8 rows of `count`, component-major.
std::vector<float> GaussianVectors(std::size_t count, double rms, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, rms);
  std::vector<float> x(8 * count);
  for (float& value : x) value = static_cast<float>(normal(generator));
  return x;
}

Word8 Column(const std::vector<float>& x, std::size_t stride, std::size_t k) {
  Word8 column;
  for (std::size_t i = 0; i < 8; ++i) column[i] = x[i * stride + k];
  return column;
}

double SquaredDistance(const Word8& x, const Word8& y) {
  double sum = 0;
  for (std::size_t i = 0; i < 8; ++i) sum += std::pow(double{x[i]} - double{y[i]}, 2);
  return sum;
}

// Scores are sums of about 16 float32 terms no larger than 2 |x| |p| + |p|^2.
double DistanceTolerance(const Word8& x) {
  const double norm = std::sqrt(SquaredDistance(x, Word8{}));
  return 32 * std::numeric_limits<float>::epsilon() *
         (2 * norm * std::sqrt(12.0) + 12.0 + norm * norm);
}

double MeanSquaredError(E8pResidual code, double rms, std::size_t count) {
  const std::vector<float> x = GaussianVectors(count, rms, 7);
  std::vector<float> decoded(x.size());
  std::vector<std::uint32_t> codes(count);
  E8pEncode(code, {x.data(), count, count}, codes.data(), decoded.data());
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(double{x[i]} - double{decoded[i]}, 2);
  return sum / static_cast<double>(x.size()) / (rms * rms);
}

TEST(E8p, FindsTheNearestOfAll65536Words) {
  constexpr std::size_t kCount = 150;
  std::vector<Word8> words(65536);
  for (std::uint32_t code = 0; code < 65536; ++code) words[code] = reference::E8pWord(code);
  for (const double rms : {0.3, 1.03, 2.5}) {
    const std::vector<float> x = GaussianVectors(kCount, rms, 1);
    std::vector<std::uint32_t> codes(kCount);
    E8pEncode(E8pResidual::kNone, {x.data(), kCount, kCount}, codes.data(), nullptr);
    for (std::size_t k = 0; k < kCount; ++k) {
      const Word8 vector = Column(x, kCount, k);
      double least = std::numeric_limits<double>::infinity();
      for (const Word8& word : words) least = std::min(least, SquaredDistance(vector, word));
      EXPECT_NEAR(SquaredDistance(vector, words[codes[k]]), least, DistanceTolerance(vector));
    }
  }
}

TEST(E8p, AgreesWithTheReferenceOnEveryCode) {
  constexpr std::size_t kCount = 1000;
  for (const E8pResidual code : kAllCodes) {
    for (const double rms : {0.2, 0.95, 1.5, 3.0}) {
      const std::vector<float> x = GaussianVectors(kCount, rms, 2);
      std::vector<std::uint32_t> codes(kCount);
      E8pEncode(code, {x.data(), kCount, kCount}, codes.data(), nullptr);
      for (std::size_t k = 0; k < kCount; ++k) {
        const Word8 vector = Column(x, kCount, k);
        const std::uint32_t expected = reference::EncodeVector(code, vector);
        EXPECT_NEAR(SquaredDistance(vector, reference::DecodeVector(code, codes[k])),
                    SquaredDistance(vector, reference::DecodeVector(code, expected)),
                    DistanceTolerance(vector));
      }
    }
  }
}

TEST(E8p, BreaksTiesWithinTheTable) {
  // Inputs on a grid of 1/4 make entries equal and words equidistant.
  constexpr std::size_t kCount = 1000;
  std::mt19937 generator(3);
  std::uniform_int_distribution<int> quarters(-9, 9);
  std::vector<float> x(8 * kCount);
  for (float& value : x) value = 0.25F * static_cast<float>(quarters(generator));
  std::vector<std::uint32_t> codes(kCount);
  E8pEncode(E8pResidual::kNone, {x.data(), kCount, kCount}, codes.data(), nullptr);
  for (std::size_t k = 0; k < kCount; ++k) {
    const Word8 vector = Column(x, kCount, k);
    EXPECT_EQ(SquaredDistance(vector, reference::E8pWord(codes[k])),
              SquaredDistance(vector, reference::E8pWord(reference::NearestE8p(vector))));
  }
}

TEST(E8p, EveryWordIsItsOwnNearest) {
  std::vector<std::uint32_t> all(65536);
  for (std::uint32_t code = 0; code < all.size(); ++code) all[code] = code;
  std::vector<float> words(8 * all.size());
  std::vector<std::uint32_t> codes(all.size());
  E8pDecode(E8pResidual::kNone, all.data(), all.size(), words.data(), all.size());
  E8pEncode(E8pResidual::kNone, {words.data(), all.size(), all.size()}, codes.data(), nullptr);
  EXPECT_EQ(codes, all);
}

TEST(E8p, DecodesLikeTheReference) {
  std::vector<std::uint32_t> codes(5000);
  std::mt19937 generator(4);
  for (std::uint32_t& code : codes) code = static_cast<std::uint32_t>(generator());
  std::vector<float> words(8 * codes.size());
  for (const E8pResidual code : kAllCodes) {
    E8pDecode(code, codes.data(), codes.size(), words.data(), codes.size());
    for (std::size_t k = 0; k < codes.size(); ++k) {
      const Word8 expected = reference::DecodeVector(code, codes[k]);
      const Word8 actual = Column(words, codes.size(), k);
      for (std::size_t i = 0; i < 8; ++i) {
        EXPECT_NEAR(actual[i], expected[i], 4 * std::numeric_limits<float>::epsilon());
      }
    }
  }
}

TEST(E8p, HandlesAnyCountAndStrideInPlace) {
  for (const E8pResidual code : kAllCodes) {
    for (std::size_t count = 0; count <= 35; ++count) {
      const std::size_t stride = count + 5;
      std::vector<float> x = GaussianVectors(stride, 1.0, 5);
      const std::vector<float> original = x;
      std::vector<std::uint32_t> codes(count + 1, 12345);
      E8pEncode(code, {x.data(), stride, count}, codes.data(), x.data());
      EXPECT_EQ(codes[count], 12345U);
      std::vector<float> decoded = original;
      E8pDecode(code, codes.data(), count, decoded.data(), stride);
      EXPECT_EQ(decoded, x);
      for (std::size_t k = 0; k < count; ++k) {
        const Word8 vector = Column(original, stride, k);
        EXPECT_NEAR(SquaredDistance(vector, Column(x, stride, k)),
                    SquaredDistance(vector, reference::DecodeVector(
                                                code, reference::EncodeVector(code, vector))),
                    DistanceTolerance(vector));
      }
    }
  }
}

TEST(E8p, GivesTheSameCodesOnEveryInstructionSet) {
  constexpr std::size_t kCount = 1003;
  const std::vector<float> x = GaussianVectors(kCount, 1.0, 6);
  for (const E8pResidual code : kAllCodes) {
    std::vector<std::uint32_t> expected(kCount);
    E8pEncode(code, {x.data(), kCount, kCount}, expected.data(), nullptr);
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      hwy::SetSupportedTargetsForTest(target);
      std::vector<std::uint32_t> codes(kCount);
      std::vector<float> decoded(x.size());
      E8pEncode(code, {x.data(), kCount, kCount}, codes.data(), decoded.data());
      EXPECT_EQ(codes, expected) << hwy::TargetName(target);
      std::vector<float> again(x.size());
      E8pDecode(code, codes.data(), kCount, again.data(), kCount);
      EXPECT_EQ(again, decoded) << hwy::TargetName(target);
      hwy::SetSupportedTargetsForTest(0);
    }
  }
}

TEST(E8p, GivesEveryInputAWord) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float special : {infinity, -infinity, nan, 1e30F, -0.0F, 1e-40F}) {
    for (const E8pResidual code : kAllCodes) {
      std::vector<float> x(8, 0.3F);
      x[3] = special;
      std::uint32_t result = 0;
      std::vector<float> decoded(8);
      E8pEncode(code, {x.data(), 1, 1}, &result, decoded.data());
      const Word8 word = reference::DecodeVector(code, result);
      for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(decoded[i], word[i], 1e-6);
    }
  }
}

TEST(E8p, ReachesThePublishedGaussianError) {
  // 8e5 values: the standard error of the mean of squared errors is below 0.3 %.
  constexpr std::size_t kCount = 100000;
  EXPECT_NEAR(MeanSquaredError(E8pResidual::kNone, 1.03, kCount), 0.0912, 0.01 * 0.0912);
  EXPECT_NEAR(MeanSquaredError(E8pResidual::kBall, 0.98, kCount), 0.0296, 0.01 * 0.0296);
  EXPECT_NEAR(MeanSquaredError(E8pResidual::kE8p, 0.90, kCount), 0.0079, 0.01 * 0.0079);
}

TEST(E8pTable, Holds227ShortPatternsAnd29OfNorm12InOrder) {
  const E8pTable& table = GetE8pTable();
  int norm12 = 0;
  std::vector<int> previous;
  for (const std::int32_t word : table.patterns) {
    int quarters = 0;
    int sum = 4;
    std::vector<int> steps;
    for (int i = 0; i < 8; ++i) {
      steps.push_back((word >> (2 * i)) & 3);
      quarters += (2 * steps.back() + 1) * (2 * steps.back() + 1);
      sum += steps.back();
    }
    norm12 += quarters == 48 ? 1 : 0;
    EXPECT_LE(quarters, 48);
    EXPECT_EQ(word >> 16, sum % 2);
    EXPECT_LT(previous, steps);
    previous = steps;
  }
  EXPECT_EQ(norm12, 29);
}

TEST(E8pTable, WordsHaveAnEvenSumBeforeTheShift) {
  for (std::uint32_t code = 0; code < 65536; ++code) {
    double sum = 0;
    for (const float value : reference::E8pWord(code)) sum += value - (code >> 15 ? 0.25 : -0.25);
    ASSERT_EQ(std::remainder(sum, 2.0), 0.0);
  }
}

TEST(E8pTable, TheBallHolds256DifferentLatticeWords) {
  std::vector<Word8> words;
  for (std::uint32_t code = 0; code < 256; ++code) words.push_back(reference::E8BallWord(code));
  for (const Word8& word : words) {
    const double norm = SquaredDistance(word, Word8{});
    EXPECT_TRUE(norm == 0 || norm == 2 || norm == 4);
    double sum = 0;
    for (const float value : word) sum += value;
    EXPECT_EQ(std::remainder(sum, 2.0), 0.0);
  }
  std::sort(words.begin(), words.end());
  EXPECT_EQ(std::adjacent_find(words.begin(), words.end()), words.end());
}

}  // namespace
}  // namespace caldera::kernels
