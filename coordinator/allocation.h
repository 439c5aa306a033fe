// How many bits each matrix gets under the target of a whole model. Pure.
//
// A probe (docs/algorithms.md) has measured, for each matrix rounded alone to 2 bits, the
// divergence of the model's predictions, and predicted by how much its squared error falls with
// more bits. Divergence goes with the squared error, and those of several matrices add up while
// they are small. So the loss
//   sum over matrices of divergence * loss_curve(q_bits)
// is made least under a budget of bytes.
#ifndef CALDERA_COORDINATOR_ALLOCATION_H_
#define CALDERA_COORDINATOR_ALLOCATION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "caldera/v1/compression.pb.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/model/model_config.h"

namespace caldera::coordinator {

// Steps of q_bits between 2 and 4: entry i of a loss curve is that at 2 + i / 16 bits. (3 is a
// little less: with whole numbers all columns have the same bits.)
inline constexpr int kAllotmentSteps = 32;

// One matrix: bytes it takes and loss it leaves at each step, kAllotmentSteps + 1 values each.
struct AllotmentItem {
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
};

// The step of each item: the sum of bytes is at most `budget`, the sum of losses as small as a
// greedy choice along the lower convex hulls makes it (the least for its sum of bytes), and what is
// left over goes to further steps as long as one fits. All items are at step 0 when that is beyond
// the budget already. Equal inputs give equal results.
std::vector<int> AllotSteps(std::span<const AllotmentItem> items, std::uint64_t budget);

// q_bits of the matrix of each probe, all together within `budget` bytes. Precondition:
// CheckProbes.
std::vector<double> AllotBits(const v1::Decomposition& decomposition, std::uint64_t budget,
                              std::span<const v1::MatrixProbe> probes);

// INVALID_ARGUMENT, naming matrix and field, unless `probes` are those of the matrices of layers
// [first_layer, last_layer), in order, with errors and divergences that are finite and not negative
// and curves of kAllotmentSteps + 1 values from 1 down.
absl::Status CheckProbes(int first_layer, int last_layer, std::span<const v1::MatrixProbe> probes);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_ALLOCATION_H_
