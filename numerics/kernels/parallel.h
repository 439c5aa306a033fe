// The one parallel loop of the house: OpenMP where it is built in, a plain loop otherwise.
//
// Results never depend on the number of threads: each index writes its own output, and what is
// summed over indices is summed in a fixed order by the caller (or exactly, see
// numerics/dist/exact_sum.h).
#ifndef CALDERA_NUMERICS_KERNELS_PARALLEL_H_
#define CALDERA_NUMERICS_KERNELS_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace caldera::kernels {

// Threads that each ParallelFor of this process uses, from 1 (also the value before SetThreads,
// which main() and tests call before any loop). BLAS calls always run on one thread
// (numerics/linalg/blas.h): the loops are ours. Several std::threads may run loops at the same
// time; each gets this many threads.
void SetThreads(int threads);
int Threads();

// Calls body(i) once for each i in [0, count), in any order, from up to Threads() threads; returns
// when all are done. `body` must not throw. Nested calls run serially in the calling thread.
void ParallelFor(std::int64_t count, const std::function<void(std::int64_t)>& body);

}  // namespace caldera::kernels

#endif  // CALDERA_NUMERICS_KERNELS_PARALLEL_H_
