// A StateStore without a disk, for tests and simulations. See state_store.h for the contract.
#ifndef CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_
#define CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

class MemoryStateStore : public StateStore {
 public:
  absl::StatusOr<ClusterState> Load() override;
  absl::Status ApplyAll(std::span<const Transition> transitions) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const base::JobId& job, std::int64_t after,
                                                       int limit) override;

 private:
  struct Tables {
    ClusterState state;
    std::map<std::string, std::map<std::int64_t, v1::JobEvent>> events;  // by job, by sequence
  };
  static absl::Status ApplyOne(const Transition& transition, Tables* tables);

  base::Mutex mutex_;
  Tables tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_MEMORY_STATE_STORE_H_
