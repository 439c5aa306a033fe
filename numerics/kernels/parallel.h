// The one parallel loop of the house: OpenMP where it is built in, a plain loop otherwise.
//
// Results never depend on the number of threads: each index writes its own output, and what is summed
// over indices is summed in a fixed order by the caller (or exactly, see numerics/dist/exact_sum.h).
#ifndef CALDERA_NUMERICS_KERNELS_PARALLEL_H_
#define CALDERA_NUMERICS_KERNELS_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace caldera::kernels {

// Threads that ParallelFor of this process uses, from 1. SetThreads is called by main() (and by tests)
// before any loop; it also pins BLAS to one thread per call, since the loops are ours.
void SetThreads(int threads);
int Threads();

// Calls body(i) once for each i in [0, count), in any order, from up to Threads() threads; returns when
// all are done. `body` must not throw. Nested calls run serially in the calling thread.
void ParallelFor(std::int64_t count, const std::function<void(std::int64_t)>& body);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_PARALLEL_H_
