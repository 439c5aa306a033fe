// Layers drawn at random: weights W and input Hessians H of shapes, spectra and tails that no fixed
// case has. One seed gives one layer on every machine with the same BLAS kernels.
#ifndef CALDERA_TESTS_SUPPORT_DRAWN_LAYER_H_
#define CALDERA_TESTS_SUPPORT_DRAWN_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "numerics/linalg/matrix.h"
#include "numerics/linalg/random.h"

namespace caldera::test_support {

// One draw after another from a seed.
class Draws {
 public:
  explicit Draws(std::uint64_t seed);

  // Uniform in [low, high); LogUniform: the logarithm is, 0 < low.
  double Uniform(double low, double high);
  double LogUniform(double low, double high);
  // low .. high, both included.
  std::int64_t Integer(std::int64_t low, std::int64_t high);
  template <typename T>
  T Pick(std::initializer_list<T> values) {
    return values.begin()[Integer(0, static_cast<std::int64_t>(values.size()) - 1)];
  }

 private:
  linalg::Random random_;
  std::uint64_t next_ = 0;
};

// How the eigenvalues of H fall, in a random basis; kBlocks: groups of channels that are correlated
// among themselves only.
enum class Spectrum { kFlat, kInverse, kInverseSquare, kDominating, kBlocks };

// Everything that MakeWeight and MakeHessian read.
struct LayerSpec {
  std::uint64_t seed = 0;
  std::int64_t rows = 0;     // m
  std::int64_t columns = 0;  // n
  Spectrum spectrum = Spectrum::kFlat;
  std::int64_t width = 1;  // kDominating: directions that do; kBlocks: channels of a group
  double strength = 0;     // kDominating: their eigenvalue, of others 1; kBlocks: the correlation
  std::int64_t outlier_channels = 0;  // of H
  double channel_gain = 1;            // how much larger those inputs are
  double degrees = 5;                 // of freedom of Student's t, > 2
  std::int64_t signal_rank = 0;       // a low-rank part of W
  double signal_energy = 0;           // its share
  std::int64_t outlier_columns = 0;   // of W
  double column_gain = 1;
  double row_spread = 1;  // each 64 rows are scaled by between 1 / row_spread and row_spread
};

// Every field in one line, for failure messages.
std::string Describe(const LayerSpec& spec);

// kSmall: at most 64 x 512, 160 x 264, 384 x 96 and 320 x 320; kLarge: 128 x 1024, 320 x 840,
// 1024 x 192 and 768 x 768.
enum class Extent { kSmall, kLarge };

// Kind of shape (m far below n, n no multiple of 128, n far below m, square), spectrum and
// everything else as `draws` has them; `index` runs through all pairs of shape and spectrum in 20
// steps.
LayerSpec DrawLayer(std::uint64_t index, Extent extent, Draws& draws);

// Student-t values of variance 1 (before gains) plus the low-rank part, m x n.
linalg::MatrixF MakeWeight(const LayerSpec& spec);

// n x n, symmetric, mean eigenvalue 1 before gains. About 5 n^3 flops, kBlocks n^2.
linalg::MatrixF MakeHessian(const LayerSpec& spec);

}  // namespace caldera::test_support

#endif  // CALDERA_TESTS_SUPPORT_DRAWN_LAYER_H_
