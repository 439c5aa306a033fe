// One job on which a transition is composed: every change is recorded for the state store and made
// in place at once, so each event carries the job as it stands after it. Taking or dropping the
// edit puts the job back as it was: it changes by the transition alone.
#ifndef CALDERA_COORDINATOR_JOB_EDIT_H_
#define CALDERA_COORDINATOR_JOB_EDIT_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/records.h"
#include "coordinator/state_store.h"

namespace caldera::coordinator {

// An event about to be emitted.
struct EventText {
  std::string type;     // "matrix.committed"
  std::string message;  // one line for people
  int layer = -1;
  std::optional<v1::MatrixResult> matrix = std::nullopt;
};

// One thread at a time; one edit of a job at a time, nobody else changes the job meanwhile.
class JobEdit {
 public:
  // `job` is borrowed.
  JobEdit(JobState* job, absl::Time now) : job_(job), now_(now) {}
  JobEdit(JobEdit&& other) noexcept;
  JobEdit& operator=(JobEdit&&) = delete;
  ~JobEdit() { Undo(); }

  const JobState& job() const { return *job_; }
  absl::Time now() const { return now_; }

  void PutTask(const TaskRecord& task, const std::optional<Fence>& fence = std::nullopt);
  void AddMatrix(const MatrixKey& key, const MatrixRecord& matrix);
  void AddHessian(const v1::HessianRef& hessian);

  // Sets the state and the time that goes with it (start or end).
  void SetState(v1::State state);
  void SetError(const absl::Status& error);
  void SetCodeVersion(const std::string& version) { Record().job.set_code_version(version); }
  void SetResult(const v1::JobResult& result);
  // Ends every lease of the job: its tasks go back to kPending.
  void ReleaseTasks();
  // FAILED with `error`: leases are released, an event says why.
  void Fail(const absl::Status& error);
  void ForgetHessians();
  // Takes back what the store no longer holds: it is computed again.
  void LoseMatrix(const MatrixKey& key);
  void LoseHessian(const HessianKey& key);
  // A task that was done is to be done again.
  void RedoTask(const std::string& id);
  // Undoes the end of the job: no error, no end time, tasks that are not done begin afresh.
  void Reopen();

  void Emit(const EventText& text);

  // The whole transition; the edit must not be used afterwards.
  Transition Take();

 private:
  // The job's record, about to be changed.
  JobRecord& Record();
  void Undo();

  Transition transition_;
  JobState* job_;  // nullptr once taken
  absl::Time now_;
  // What was there before, in the order of the changes.
  std::optional<JobRecord> old_record_;
  std::vector<TaskRecord> old_tasks_;
  std::optional<std::map<MatrixKey, MatrixRecord>> old_matrices_;
  std::optional<std::map<HessianKey, v1::HessianRef>> old_hessians_;
};

// absl::Time -> google.protobuf.Timestamp with microseconds.
void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_JOB_EDIT_H_
