// What the ranks of one worker agree on before they go on: errors, and strings that only rank 0
// has.
//
// All functions are collectives: every rank calls them in the same order.
#ifndef CALDERA_WORKER_RANK_GROUP_H_
#define CALDERA_WORKER_RANK_GROUP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "numerics/dist/communicator.h"

namespace caldera::worker {

// OK when every rank's status is; otherwise the error of the lowest failing rank, on every rank,
// with "rank N: " before the message when N > 0.
absl::Status AgreeOnStatus(const absl::Status& mine, dist::Communicator& communicator);

// `value` of rank 0 replaces that of the others.
void ShareBytes(std::vector<std::byte>& value, dist::Communicator& communicator);
void ShareString(std::string& value, dist::Communicator& communicator);

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_RANK_GROUP_H_
