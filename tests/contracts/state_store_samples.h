// Rows that the contract of state stores writes and expects back.
#ifndef CALDERA_TESTS_CONTRACTS_STATE_STORE_SAMPLES_H_
#define CALDERA_TESTS_CONTRACTS_STATE_STORE_SAMPLES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/state_store.h"

namespace caldera::coordinator {

inline JobRecord ContractJob(const std::string& id, std::int64_t ordinal) {
  JobRecord record;
  record.id = base::JobId(id);
  record.ordinal = ordinal;
  record.calibration_sha256 = "abc";
  record.calibration_tokens = 12345;
  record.last_sequence = 3;
  record.job.set_name("compressionJobs/" + id);
  record.job.set_state(v1::RUNNING);
  return record;
}

inline TaskRecord ContractTask(const std::string& job, const std::string& id) {
  TaskRecord task;
  task.job = base::JobId(job);
  task.id = id;
  task.kind = TaskKind::kCompress;
  task.index = 4;
  task.work = 1.5e9;
  task.state = TaskState::kLeased;
  task.failures = 1;
  task.failures_of_worker = {{"w0", 1}};
  task.last_error = "it broke";
  task.fence = {base::LeaseId("lease"), 2};
  task.worker = base::WorkerId("w1");
  task.incarnation = "i1";
  task.granted = absl::FromUnixMillis(1'700'000'000'123);
  task.deadline = absl::FromUnixMillis(1'700'000'090'123);
  task.attempts = 3;
  RivalLease rival;
  rival.fence = {base::LeaseId("rival"), 3};
  rival.worker = base::WorkerId("w2");
  rival.incarnation = "i2";
  rival.granted = absl::FromUnixMillis(1'700'000'050'123);
  rival.deadline = absl::FromUnixMillis(1'700'000'140'123);
  task.rival = rival;
  return task;
}

inline Transition ContractSetup() {
  Transition transition;
  transition.jobs.push_back(ContractJob("a", 0));
  transition.tasks.push_back({ContractTask("a", "compress-4"), std::nullopt});
  return transition;
}

inline EventChange ContractEvent(const std::string& job, std::int64_t sequence) {
  EventChange change;
  change.job = base::JobId(job);
  change.event.set_sequence(sequence);
  change.event.set_message("event " + std::to_string(sequence));
  return change;
}

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_CONTRACTS_STATE_STORE_SAMPLES_H_
