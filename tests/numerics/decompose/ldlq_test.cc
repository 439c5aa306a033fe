#include "numerics/decompose/ldlq.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <utility>

#include "numerics/decompose/downdate.h"
#include "numerics/decompose/sweep.h"
#include "numerics/lattice/codebook.h"
#include "numerics/linalg/factor.h"
#include "tests/numerics/decompose/cases.h"

namespace caldera::decompose {
namespace {

const lattice::Codebook& E8p(int bits) {
  return **lattice::FindCodebook(model::CodebookKind::kE8P, base::Bits(bits));
}

linalg::MatrixF FactorOf(linalg::MatrixF hessian) {
  EXPECT_TRUE(linalg::CholeskyLower(hessian.view()).ok());
  linalg::ZeroStrictUpper(hessian.view());
  return hessian;
}

// A well-conditioned Hessian with strong correlations.
linalg::MatrixF TestHessian(std::int64_t size) {
  linalg::MatrixF hessian = OutlierHessian(size);
  double mean = 0;
  for (std::int64_t i = 0; i < size; ++i) mean += hessian(i, i) / static_cast<double>(size);
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t j = 0; j < size; ++j) hessian(i, j) /= static_cast<float>(mean);
    hessian(i, i) += .01F;
  }
  return hessian;
}

// Rounds 8 rows of one column on their own: the nearest codeword without any of the panel code.
std::uint32_t RoundVector(const lattice::Codebook& codebook, const std::array<double, 8>& target,
                          float scale, std::array<float, 8>& decoded) {
  std::array<float, 8> x;
  for (std::size_t i = 0; i < 8; ++i) x[i] = static_cast<float>(target[i]) * (1 / scale);
  std::uint32_t code = 0;
  codebook.Encode(x.data(), 1, 1, &code, decoded.data());
  for (float& value : decoded) value *= scale;
  return code;
}

// Textbook LDLQ in float64, one codeword at a time: error accumulates over all later columns.
std::vector<std::uint32_t> TextbookLdlq(const linalg::MatrixF& a, const linalg::MatrixF& c,
                                        const lattice::Codebook& codebook, float scale) {
  const std::int64_t n = a.columns();
  std::vector<std::uint32_t> codes(static_cast<std::size_t>(a.rows() / 8 * n));
  linalg::MatrixD error(a.rows(), n);
  for (std::int64_t k = n - 1; k >= 0; --k) {
    for (std::int64_t v = 0; v < a.rows() / 8; ++v) {
      std::array<double, 8> target{};
      for (std::int64_t i = 0; i < 8; ++i) {
        double sum = a(8 * v + i, k);
        for (std::int64_t j = k + 1; j < n; ++j) {
          sum += error(8 * v + i, j) * static_cast<double>(c(j, k) / c(k, k));
        }
        target[static_cast<std::size_t>(i)] = sum;
      }
      std::array<float, 8> decoded;
      codes[static_cast<std::size_t>(v * n + k)] = RoundVector(codebook, target, scale, decoded);
      for (std::int64_t i = 0; i < 8; ++i) {
        error(8 * v + i, k) =
            static_cast<double>(a(8 * v + i, k) - decoded[static_cast<std::size_t>(i)]);
      }
    }
  }
  return codes;
}

double Objective(const linalg::MatrixF& a, const linalg::MatrixF& q, const linalg::MatrixF& h) {
  linalg::MatrixF d(a.rows(), a.columns());
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    for (std::int64_t j = 0; j < a.columns(); ++j) d(i, j) = q(i, j) - a(i, j);
  }
  linalg::MatrixF dh(a.rows(), a.columns());
  linalg::Gemm(d, h, dh.view());
  return linalg::Dot(dh.view(), d.view());
}

TEST(Ldlq, IsPlainRoundingWhenHIsTheIdentity) {
  const linalg::MatrixF a = Gaussian(24, 150, 1);
  const std::vector<float> scales(24, 1.0F);
  const Rounded rounded = Ldlq(a.view(), Identity(150).view(), {&E8p(2), scales}, {64});
  for (std::int64_t v = 0; v < 3; ++v) {
    for (std::int64_t k = 0; k < 150; ++k) {
      std::array<double, 8> target;
      for (std::int64_t i = 0; i < 8; ++i) target[static_cast<std::size_t>(i)] = a(8 * v + i, k);
      std::array<float, 8> decoded;
      const std::uint32_t code = RoundVector(E8p(2), target, 1, decoded);
      EXPECT_EQ(rounded.codes[static_cast<std::size_t>(v * 150 + k)], code);
      for (std::int64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(rounded.decoded(8 * v + i, k), decoded[static_cast<std::size_t>(i)]);
      }
    }
  }
}

TEST(RoundPlain, IsLdlqWithTheIdentity) {
  const linalg::MatrixF a = Gaussian(141, 150, 9);
  std::vector<float> scales(141, .8F);
  scales[70] = 0;
  const lattice::Codebook& trellis =
      **lattice::FindCodebook(model::CodebookKind::kTrellis10, base::Bits(3));
  for (const lattice::Codebook* codebook : {&E8p(2), &trellis}) {
    const RowGrid grid{codebook, scales};
    const Rounded fed_back = Ldlq(a.view(), Identity(150).view(), grid, {64});
    const Rounded plain = RoundPlain(a.view(), grid, {64});
    EXPECT_EQ(plain.codes, fed_back.codes);
    for (std::int64_t i = 0; i < a.rows(); ++i) {
      for (std::int64_t j = 0; j < a.columns(); ++j) {
        ASSERT_EQ(plain.decoded(i, j), fed_back.decoded(i, j)) << i << " " << j;
      }
    }
  }
}

TEST(Ldlq, AgreesWithTheTextbook) {
  // A target on the edge between two codewords may go either way in float32, and all columns before
  // it follow; so the codes agree almost everywhere and the objectives closely.
  const std::int64_t n = 300;
  const linalg::MatrixF a = Gaussian(64, n, 2);
  const linalg::MatrixF h = TestHessian(n);
  const linalg::MatrixF c = FactorOf(h);
  for (const int bits : {2, 4}) {
    const std::vector<float> scales(64, .9F);
    const Rounded fast = Ldlq(a.view(), c.view(), {&E8p(bits), scales}, {64});
    const std::vector<std::uint32_t> slow = TextbookLdlq(a, c, E8p(bits), .9F);
    std::size_t same = 0;
    for (std::size_t i = 0; i < slow.size(); ++i) same += fast.codes[i] == slow[i] ? 1 : 0;
    EXPECT_GT(same, slow.size() * 9 / 10) << bits;
    // The last column has no feedback behind it: no excuse there.
    for (std::int64_t v = 0; v < 8; ++v) {
      const auto last = static_cast<std::size_t>(v * n + n - 1);
      EXPECT_EQ(fast.codes[last], slow[last]);
    }
  }
}

TEST(Ldlq, BeatsPlainRounding) {
  const linalg::MatrixF a = Gaussian(64, 256, 3);
  const linalg::MatrixF h = TestHessian(256);
  const std::vector<float> scales(64, 1 / 1.03F);
  const RowGrid grid{&E8p(2), scales};
  const Rounded plain = Ldlq(a.view(), Identity(256).view(), grid, {64});
  const Rounded fed_back = Ldlq(a.view(), FactorOf(h).view(), grid, {64});
  EXPECT_LT(Objective(a, fed_back.decoded, h), .5 * Objective(a, plain.decoded, h));
}

TEST(Ldlq, DecodedValuesAreThoseOfTheCodes) {
  const linalg::MatrixF a = Gaussian(13, 40, 4);
  std::vector<float> scales(13);
  for (std::size_t i = 0; i < scales.size(); ++i)
    scales[i] = i == 5 ? 0 : .5F + .1F * static_cast<float>(i);
  const Rounded rounded = Ldlq(a.view(), FactorOf(TestHessian(40)).view(), {&E8p(3), scales}, {64});
  ASSERT_EQ(rounded.codes.size(), 2U * 40U);
  for (std::int64_t v = 0; v < 2; ++v) {
    linalg::MatrixF words(8, 40);
    E8p(3).Decode({rounded.codes.data() + v * 40, 1, 40, 40}, words.data(), 40);
    for (std::int64_t i = 0; 8 * v + i < 13 && i < 8; ++i) {
      for (std::int64_t k = 0; k < 40; ++k) {
        const std::int64_t row = 8 * v + i;
        EXPECT_EQ(rounded.decoded(row, k), scales[static_cast<std::size_t>(row)] * words(i, k));
      }
    }
  }
}

TEST(Ldlq, AnEmptyMatrixHasNoCodes) {
  const Rounded rounded =
      Ldlq(linalg::MatrixF(0, 16).view(), Identity(16).view(), {&E8p(2), {}}, {64});
  EXPECT_TRUE(rounded.codes.empty());
}

TEST(Sweep, NeverRaisesTheObjectiveItSweeps) {
  const linalg::MatrixF a = Gaussian(72, 200, 5);
  const linalg::MatrixF h = TestHessian(200);
  const lattice::Codebook& trellis =
      **lattice::FindCodebook(model::CodebookKind::kTrellis10, base::Bits(2));
  for (const lattice::Codebook* codebook : {&E8p(2), &E8p(3), &E8p(4), &trellis}) {
    const std::vector<float> scales(72, 1 / 1.03F);
    const RowGrid grid{codebook, scales};
    Rounded rounded = Ldlq(a.view(), FactorOf(h).view(), grid, {64});
    double before = Objective(a, rounded.decoded, h);
    for (int sweep = 0; sweep < 4; ++sweep) {
      Sweep(a.view(), {h.view(), {}, 0}, grid, {64}, rounded);
      const double after = Objective(a, rounded.decoded, h);
      EXPECT_LE(after, before * (1 + 1e-5)) << codebook->bits().value();
      before = after;
    }
  }
}

TEST(Sweep, ChangesNothingWhereHIsTheIdentity) {
  const linalg::MatrixF a = Gaussian(16, 140, 6);
  const std::vector<float> scales(16, 1.0F);
  const RowGrid grid{&E8p(2), scales};
  const linalg::MatrixF identity = Identity(140);
  Rounded rounded = Ldlq(a.view(), identity.view(), grid, {64});
  const std::vector<std::uint32_t> before = rounded.codes;
  Sweep(a.view(), {identity.view(), {}, 0}, grid, {64}, rounded);
  EXPECT_EQ(rounded.codes, before);
}

TEST(Sweep, ADowndatedHessianNeedNotBeFormed) {
  const std::int64_t n = 160;
  const linalg::MatrixF a = Gaussian(64, n, 7);
  const linalg::MatrixF h = TestHessian(n);
  const dist::RowPartition partition(64, 64, 1);
  dist::SerialCommunicator serial;
  Context context{partition, serial};
  const auto downdated = Downdate(context, h.view(), Gaussian(12, n, 8).view(), {.absolute = .05F});
  ASSERT_TRUE(downdated.ok());
  linalg::MatrixF formed(n, n);
  const linalg::ConstViewF factor = downdated->factor.view();
  linalg::Gemm(factor, linalg::Transposed(factor), formed.view());
  const std::vector<float> scales(64, 1 / 1.03F);
  const RowGrid grid{&E8p(2), scales};
  Rounded implicit = Ldlq(a.view(), downdated->factor.view(), grid, {64});
  Rounded explicit_one = implicit;
  const double before = Objective(a, implicit.decoded, formed);
  Sweep(a.view(), downdated->Swept(h.view()), grid, {64}, implicit);
  Sweep(a.view(), {formed.view(), {}, 0}, grid, {64}, explicit_one);
  const double gain = before - Objective(a, explicit_one.decoded, formed);
  EXPECT_GT(gain, 0);
  EXPECT_NEAR(Objective(a, implicit.decoded, formed), before - gain, .05 * gain);
}

}  // namespace
}  // namespace caldera::decompose
