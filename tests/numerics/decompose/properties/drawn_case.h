// One draw of a property test: a layer, how it is decomposed, and what is computed from the result.
//
// CALDERA_PROPERTY_DRAWS in the environment is the number of draws of every property; draw k is the
// same whatever their number. Figures that bounds were taken from are recorded as properties of the
// tests (--gtest_output=json:FILE).
#ifndef CALDERA_TESTS_NUMERICS_DECOMPOSE_PROPERTIES_DRAWN_CASE_H_
#define CALDERA_TESTS_NUMERICS_DECOMPOSE_PROPERTIES_DRAWN_CASE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "numerics/decompose/decompose.h"
#include "numerics/decompose/linear_map.h"
#include "numerics/linalg/blas.h"
#include "tests/numerics/decompose/cases.h"
#include "tests/support/drawn_layer.h"

namespace caldera::decompose {

struct DrawnCase {
  test_support::LayerSpec layer;
  DecomposeOptions options;
};

inline std::string Describe(const DecomposeOptions& options) {
  std::ostringstream text;
  text << model::RecipeName(options.recipe) << ", " << model::CodebookName(options.codebook) << ", "
       << options.q_bits << " bits, rank " << options.rank << ", factors of "
       << options.l_bits.value() << " and " << options.r_bits.value() << " bits, output seed "
       << options.output_seed;
  return text.str();
}

inline std::string Describe(const DrawnCase& drawn) {
  return Describe(drawn.layer) + "; " + Describe(drawn.options);
}

// `wanted`, or the largest multiple of 8 that leaves a quarter of the smaller dimension.
inline std::int64_t RankFor(const test_support::LayerSpec& layer, std::int64_t wanted) {
  return std::min(wanted, std::min(layer.rows, layer.columns) * 3 / 4 / 8 * 8);
}

// `property` numbers the properties: each has layers of its own.
inline DrawnCase DrawCase(std::uint64_t property, std::uint64_t index,
                          test_support::Extent extent) {
  test_support::Draws draws(1000 * property + index);
  DrawnCase drawn{test_support::DrawLayer(index, extent, draws), {}};
  drawn.options =
      OptionsOf(draws.Pick({2.0, 2.5, 3.0, 4.0}),
                RankFor(drawn.layer, draws.Pick<std::int64_t>({0, 16, 64})), draws.Pick({4, 16}));
  drawn.options.codebook = draws.Pick({model::CodebookKind::kE8P, model::CodebookKind::kTrellis10});
  drawn.options.output_seed = static_cast<std::uint64_t>(draws.Integer(0, 1'000'000));
  return drawn;
}

// Draws of a property for which `count` are enough every day.
inline int DrawCount(int count) {
  const char* const wanted = std::getenv("CALDERA_PROPERTY_DRAWS");
  return wanted == nullptr ? count : std::max(1, std::atoi(wanted));
}

inline std::string DrawName(const testing::TestParamInfo<int>& info) {
  return "draw_" + std::to_string(info.param);
}

// tr(A H A^T) in float64.
inline double SquareUnder(const linalg::MatrixD& hessian, const linalg::MatrixD& a) {
  linalg::MatrixD product(a.rows(), a.columns());
  linalg::Gemm(a, hessian, product.view());
  return linalg::Dot(std::as_const(product).view(), a.view());
}

inline linalg::MatrixD Wide(const linalg::MatrixF& a) {
  linalg::MatrixD wide(a.rows(), a.columns());
  linalg::Copy(a.view(), wide.view());
  return wide;
}

// tr(D H D^T), ||D||^2 and tr(W H W^T) in float64, D = decoded - W.
struct Squares {
  double error = 0;
  double plain_error = 0;
  double reference = 0;

  double relative_error() const { return std::sqrt(error / reference); }
};

inline Squares SquaresOf(const linalg::MatrixF& weight, const linalg::MatrixF& decoded,
                         const linalg::MatrixF& hessian) {
  const linalg::MatrixD wide_hessian = Wide(hessian);
  const linalg::MatrixD wide_weight = Wide(weight);
  linalg::MatrixD difference = Wide(decoded);
  for (std::int64_t i = 0; i < weight.rows(); ++i) {
    for (std::int64_t j = 0; j < weight.columns(); ++j) difference(i, j) -= wide_weight(i, j);
  }
  const linalg::ConstViewD error = std::as_const(difference).view();
  return {SquareUnder(wide_hessian, difference), linalg::Dot(error, error),
          SquareUnder(wide_hessian, wide_weight)};
}

// DecomposeAlone of a matrix that must succeed; an empty result and a test failure otherwise.
inline DecomposeResult MustDecompose(const linalg::MatrixF& weight, const linalg::MatrixF& hessian,
                                     const DecomposeOptions& options) {
  auto result = DecomposeAlone(weight, hessian, options);
  if (result.ok()) return *std::move(result);
  ADD_FAILURE() << Describe(options) << ": " << base::MessageOf(result.status());
  return {};
}

// A figure for whoever sets bounds, six digits.
inline void Record(const std::string& name, double value) {
  std::ostringstream text;
  text << value;
  testing::Test::RecordProperty(name, text.str());
}

}  // namespace caldera::decompose

#endif  // CALDERA_TESTS_NUMERICS_DECOMPOSE_PROPERTIES_DRAWN_CASE_H_
