// Sums whose bits do not depend on the order of addition, hence not on the number of ranks or
// threads.
//
// Pre-rounding (Demmel and Nguyen, "Fast reproducible floating-point summation", ARITH 2013): with
// a bound B on every |addend| and the number N of addends of an element, each addend is rounded to
// a multiple of g = 2^(ceil(log2(B N)) - 51). Then every partial sum is a multiple of g below 2^53
// g: float64 additions are exact and may be taken in any order. Absolute error of a sum: at most N
// g / 2 <= N^2 B 2^-51.
#ifndef CALDERA_NUMERICS_DIST_EXACT_SUM_H_
#define CALDERA_NUMERICS_DIST_EXACT_SUM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "numerics/dist/communicator.h"

namespace caldera::dist {

// What the addends of one sum have in common; must be the same on every rank and thread.
class ExactGrid {
 public:
  // |addend| <= bound (finite, >= 0); at most `count` addends per element over all ranks, >= 1.
  ExactGrid(double bound, std::int64_t count);

  double spacing() const { return spacing_; }  // g; 0 when bound == 0
  // 1.5 * 2^52 * g: adding and subtracting it rounds to the nearest multiple of g.
  double shift() const { return shift_; }

 private:
  double spacing_;
  double shift_;
};

// sums[i] += addends[i] rounded to the grid; equal sizes. Not for concurrent use on the same sums.
void AddExactly(const ExactGrid& grid, std::span<const float> addends, std::span<double> sums);
void AddExactly(const ExactGrid& grid, std::span<const double> addends, std::span<double> sums);

// A vector of sums, zero at first. One thread at a time; merge the sums of several threads.
class ExactSum {
 public:
  ExactSum(std::int64_t elements, const ExactGrid& grid)
      : grid_(grid), sums_(static_cast<std::size_t>(elements)) {}

  // One addend per element.
  void Add(std::span<const float> addends) { AddExactly(grid_, addends, sums_); }
  void Add(std::span<const double> addends) { AddExactly(grid_, addends, sums_); }
  // Adds the sums of another one with the same grid and size.
  void Merge(const ExactSum& other);
  // Collective: the sums over all ranks, on every rank. elements * 8 bytes.
  void AllReduce(Communicator& communicator) { communicator.AllReduceSum(sums_); }

  std::span<const double> sums() const { return sums_; }

 private:
  ExactGrid grid_;
  std::vector<double> sums_;
};

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_EXACT_SUM_H_
