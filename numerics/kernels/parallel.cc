#include "numerics/kernels/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <atomic>

namespace caldera::kernels {
namespace {

std::atomic<int> thread_count{1};
// Set while this thread runs a loop body: a nested loop must not open a second team.
thread_local bool inside_loop = false;

class InsideLoop {
 public:
  InsideLoop() : before_(inside_loop) { inside_loop = true; }
  ~InsideLoop() { inside_loop = before_; }
  InsideLoop(const InsideLoop&) = delete;
  InsideLoop& operator=(const InsideLoop&) = delete;

 private:
  bool before_;
};

void SerialFor(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace

void SetThreads(int threads) { thread_count = threads < 1 ? 1 : threads; }

int Threads() { return thread_count; }

void ParallelFor(std::int64_t count, const std::function<void(std::int64_t)>& body) {
#ifdef _OPENMP
  const int threads = Threads();
  if (threads > 1 && count > 1 && !inside_loop) {
    // BLAS takes its thread count from this setting. Said inside a loop it ends with the loop, so a
    // thread whose first BLAS call is in a loop would run its later ones in parallel, with other
    // bits.
    omp_set_num_threads(1);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (std::int64_t i = 0; i < count; ++i) {
      const InsideLoop mark;
      body(i);
    }
    return;
  }
#endif
  SerialFor(count, body);
}

}  // namespace caldera::kernels
