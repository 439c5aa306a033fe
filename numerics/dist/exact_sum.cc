#include "numerics/dist/exact_sum.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

#include "numerics/kernels/rounded_add.h"

namespace caldera::dist {
namespace {

// Far above where 2^52 g or g itself would leave the range of normal doubles.
constexpr int kSmallestExponent = -900;

double Spacing(double bound, std::int64_t count) {
  assert(bound >= 0 && count >= 1);
  if (bound == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(bound * static_cast<double>(count), &exponent);
  // frexp gives [1/2, 1) * 2^exponent: an exact power of two needs one less.
  const int ceiling = fraction == 0.5 ? exponent - 1 : exponent;
  return std::ldexp(1.0, std::max(ceiling - 51, kSmallestExponent));
}

}  // namespace

ExactGrid::ExactGrid(double bound, std::int64_t count)
    : spacing_(Spacing(bound, count)), shift_(0x1.8p52 * spacing_) {}

void AddExactly(const ExactGrid& grid, std::span<const float> addends, std::span<double> sums) {
  assert(addends.size() == sums.size());
  kernels::AddRounded(addends.data(), sums.size(), grid.shift(), sums.data());
}
void AddExactly(const ExactGrid& grid, std::span<const double> addends, std::span<double> sums) {
  assert(addends.size() == sums.size());
  kernels::AddRounded(addends.data(), sums.size(), grid.shift(), sums.data());
}

void ExactSum::Merge(const ExactSum& other) {
  assert(other.sums_.size() == sums_.size() && other.grid_.spacing() == grid_.spacing());
  for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
}

}  // namespace caldera::dist
