// Ranks as threads of one process: the distributed algorithms without MPI, for tests and small
// runs.
#ifndef CALDERA_NUMERICS_DIST_THREAD_COMMUNICATOR_H_
#define CALDERA_NUMERICS_DIST_THREAD_COMMUNICATOR_H_

#include <functional>

#include "numerics/dist/communicator.h"

namespace caldera::dist {

// Runs `body` once per rank, each on a thread of its own with its communicator (valid during the
// call), and returns when all have returned. `ranks` >= 1. `body` must not throw, and every rank
// must make the same collective calls: a rank that returns early leaves the others waiting for
// ever.
void RunRanks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace caldera::dist

#endif  // CALDERA_NUMERICS_DIST_THREAD_COMMUNICATOR_H_
