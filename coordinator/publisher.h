// Turns a job whose tasks are all done into a published checkpoint: verify every shard, give it its
// name, write index, configuration, tokenizer and run.json, and manifest.json last.
//
// Every step can be repeated: after a crash the job is published again from the start with the same
// bytes. Blocking; call it outside locks.
#ifndef CALDERA_COORDINATOR_PUBLISHER_H_
#define CALDERA_COORDINATOR_PUBLISHER_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/model/model_directory.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Borrowed; the job is a copy taken when its last task was done.
struct PublishInputs {
  const JobState* job = nullptr;
  const model::OpenedModel* model = nullptr;
  const std::map<std::string, WorkerRecord>* workers = nullptr;
  std::string tool_version;
  // Asked once, right before the manifest is written: an error stops there (the job was cancelled).
  std::function<absl::Status()> may_finish;
};

// Errors: DATA_LOSS for a shard whose bytes changed, RESOURCE_EXHAUSTED for a full disk,
// ALREADY_EXISTS for a foreign file in the way, all without a manifest; or may_finish's.
absl::StatusOr<v1::JobResult> PublishCheckpoint(const PublishInputs& inputs,
                                                store::CheckpointStore* store);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_PUBLISHER_H_
