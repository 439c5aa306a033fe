// The yardstick of the machine at this moment: sgemm on the threads that the measured code has.
#ifndef CALDERA_BENCH_YARDSTICK_H_
#define CALDERA_BENCH_YARDSTICK_H_

#include <chrono>
#include <cstdint>
#include <ctime>

#include "numerics/kernels/parallel.h"
#include "numerics/linalg/blas.h"
#include "numerics/linalg/matrix.h"
#include "numerics/linalg/parallel_blas.h"
#include "numerics/linalg/random.h"

namespace caldera::bench {

inline double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of the whole process, all threads.
inline double CpuSeconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

// Flops per second of wall time and of CPU time. On a machine that other work shares the second is
// the steadier one, but it does not see a thread that waits.
struct Rate {
  double wall = 0;
  double cpu = 0;
};

// Products of 2048 x 2048 matrices, one share of the rows for each thread of kernels::SetThreads.
class Yardstick {
 public:
  Yardstick() : a_(kSize, kSize), b_(kSize, kSize), c_(kSize, kSize) {
    linalg::Random(1).FillNormal(a_.view());
    linalg::Random(2).FillNormal(b_.view());
    Multiply();  // warms up
  }

  // Over the next few products, about half a second.
  Rate Measure() {
    constexpr int kProducts = 3;
    constexpr double kFlops = kProducts * 2.0 * kSize * kSize * kSize;
    const double wall = WallSeconds();
    const double cpu = CpuSeconds();
    for (int i = 0; i < kProducts; ++i) Multiply();
    return {kFlops / (WallSeconds() - wall), kFlops / (CpuSeconds() - cpu)};
  }

 private:
  static constexpr std::int64_t kSize = 2048;

  void Multiply() {
    const std::int64_t threads = kernels::Threads();
    linalg::GemmByRows(a_, b_, c_.view(), {}, (kSize + threads - 1) / threads);
  }

  linalg::MatrixF a_;
  linalg::MatrixF b_;
  linalg::MatrixF c_;
};

}  // namespace caldera::bench

#endif  // CALDERA_BENCH_YARDSTICK_H_
