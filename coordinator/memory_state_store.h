// A StateStore without a disk, for tests and simulations. See state_store.h for the contract.
#ifndef CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_
#define CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/state_store.h"

namespace caldera::coordinator {

class MemoryStateStore : public StateStore {
 public:
  absl::StatusOr<ClusterState> Load() override { return state_; }
  absl::Status Apply(const Transition& transition) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override;

 private:
  absl::Status Check(const Transition& transition) const;
  absl::Status CheckJobs(const Transition& transition) const;
  absl::Status CheckRows(const Transition& transition) const;

  ClusterState state_;
  std::map<std::string, std::map<std::int64_t, v1::JobEvent>> events_;  // by job, by sequence
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_
