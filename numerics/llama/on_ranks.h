// What only rank 0 can read, on every rank. Internal to numerics/llama; all functions are
// collective.
#ifndef CALDERA_NUMERICS_LLAMA_ON_RANKS_H_
#define CALDERA_NUMERICS_LLAMA_ON_RANKS_H_

#include <span>

#include "absl/status/status.h"
#include "numerics/dist/communicator.h"
#include "numerics/linalg/matrix.h"

namespace caldera::llama {

// Makes rank 0's status everyone's: its code as one byte, then the message. Waiting ranks sleep.
absl::Status ShareStatus(const absl::Status& status, dist::Communicator& communicator);

// `values` of rank 0 replace those of every rank; equally many everywhere.
void Broadcast(std::span<float> values, dist::Communicator& communicator);

// All values of a matrix that lies in one piece.
std::span<float> ValuesOf(linalg::MatrixF& matrix);

}  // namespace caldera::llama

#endif  // CALDERA_NUMERICS_LLAMA_ON_RANKS_H_
