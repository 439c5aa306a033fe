// What a Coordinator is told and what it works with.
#ifndef CALDERA_COORDINATOR_COORDINATOR_OPTIONS_H_
#define CALDERA_COORDINATOR_COORDINATOR_OPTIONS_H_

#include <string>

#include "absl/time/time.h"
#include "common/base/allowed_roots.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/cluster_core.h"
#include "coordinator/commit_queue.h"
#include "coordinator/thread_pool.h"

namespace caldera::coordinator {

struct CoordinatorOptions {
  CoreOptions core;
  std::string version;                              // into manifests
  std::string code_version;                         // into jobs: version and commit
  absl::Duration longest_wait = absl::Seconds(30);  // of AcquireLease
  // How long publishing waits for a store or an output that is away or full.
  absl::Duration store_patience = absl::Minutes(10);
  int max_open_jobs = 0;     // of one owner; 0 = no limit
  base::AllowedRoots roots;  // of models, texts and outputs
};

// Borrowed; they outlive the coordinator.
struct CoordinatorDependencies {
  CoreDependencies core;
  store::CheckpointStore* store = nullptr;
  ThreadPool* pool = nullptr;  // publishing runs there
  // What core.states is, when it writes behind; null: every transition is durable at once.
  CommitQueue* commits = nullptr;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_COORDINATOR_OPTIONS_H_
