#include "coordinator/resume.h"

#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "common/base/status.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

absl::Status Drifted(const JobRecord& job, const std::string& field, const std::string& change) {
  return WithReason(
      base::FailedPrecondition("job {} cannot go on: {} {}", JobName(job.id), field, change),
      kReasonJobDrifted, {{"field", field}});
}

absl::Status CheckSame(const JobRecord& job, const std::string& field, const std::string& before,
                       const std::string& now) {
  if (before == now) return absl::OkStatus();
  return Drifted(job, field, fmt::format("was {} and is {} now", before, now));
}

// The first field that differs, as the differencer tells it: "modified: decomposition.rank: 8 ->
// 16".
absl::Status CheckSameSpec(const JobRecord& job, const v1::JobSpec& now) {
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(job.job.spec(), now)) return absl::OkStatus();
  const std::string line = report.substr(0, report.find('\n'));
  const std::size_t start = line.find(": ") + 2;
  return Drifted(job, "spec." + line.substr(start, line.find(':', start) - start),
                 "changed (" + line + ")");
}

// Looks at one object after another and notes the losses.
class Inventory {
 public:
  Inventory(const JobState& job, const store::CheckpointStore& store) : job_(job), store_(store) {}

  absl::StatusOr<LostWork> Take() {
    for (const TaskRecord& task : job_.tasks) {
      if (task.kind == TaskKind::kCompress) CALDERA_RETURN_IF_ERROR(LookAtLayer(task));
      if (task.kind == TaskKind::kCalibrate) CALDERA_RETURN_IF_ERROR(LookAtRange(task));
      if (task.kind == TaskKind::kEmbeddings) CALDERA_RETURN_IF_ERROR(HasShard(task).status());
    }
    if (present_ > 0 || missing_ == 0) return lost_;
    return base::DataLoss("the store {} holds none of the {} objects of job {}: is it another one?",
                          store_.uri(), missing_, JobName(job_.record.id));
  }

 private:
  absl::StatusOr<bool> IsWhole(const std::string& what, const v1::ObjectRef& object) {
    const absl::Status status = store_.VerifyObject(object.sha256());
    const bool missing = absl::IsNotFound(status);
    ++(missing ? missing_ : present_);
    if (status.ok()) return true;
    if (!missing && !absl::IsDataLoss(status)) return status;
    if (!missing) lost_.objects.push_back(object.sha256());
    lost_.reports.push_back(fmt::format("{}: object {} is {}", what, object.sha256(),
                                        missing ? "missing from the store" : "damaged"));
    return false;
  }

  // Of a task that is done; a lost one is noted, and the task.
  absl::StatusOr<bool> HasShard(const TaskRecord& task) {
    if (task.state != TaskState::kDone) return false;
    CALDERA_ASSIGN_OR_RETURN(const bool whole, IsWhole("shard of " + task.id, task.shard));
    if (!whole) lost_.tasks.push_back(task.id);
    return whole;
  }

  // Nobody reads the matrices of a shard that is whole.
  absl::Status LookAtLayer(const TaskRecord& task) {
    CALDERA_ASSIGN_OR_RETURN(const bool shard, HasShard(task));
    if (shard) return absl::OkStatus();
    for (auto it = job_.matrices.lower_bound({task.index, 0});
         it != job_.matrices.end() && it->first.first == task.index; ++it) {
      const v1::MatrixResult& matrix = it->second.result;
      CALDERA_ASSIGN_OR_RETURN(
          const bool whole,
          IsWhole(fmt::format("layer {} {}", task.index, matrix.projection()), matrix.object()));
      if (!whole) lost_.matrices.push_back(it->first);
    }
    return absl::OkStatus();
  }

  absl::Status LookAtRange(const TaskRecord& task) {
    const std::size_t before = lost_.hessians.size();
    for (const auto& [key, hessian] : job_.hessians) {
      if (hessian.range() != task.index) continue;
      CALDERA_ASSIGN_OR_RETURN(
          const bool whole, IsWhole(fmt::format("Hessian {} of layer {}, range {}", hessian.kind(),
                                                hessian.layer(), hessian.range()),
                                    hessian.object()));
      if (!whole) lost_.hessians.push_back(key);
    }
    const bool redo = lost_.hessians.size() > before && task.state == TaskState::kDone;
    if (redo) lost_.tasks.push_back(task.id);
    return absl::OkStatus();
  }

  const JobState& job_;
  const store::CheckpointStore& store_;
  LostWork lost_;
  int present_ = 0;
  int missing_ = 0;
};

}  // namespace

absl::Status CheckResumable(const JobRecord& job) {
  if (job.job.state() == v1::FAILED || job.job.state() == v1::CANCELLED) return absl::OkStatus();
  return WithReason(
      base::FailedPrecondition("job {} has succeeded: there is nothing to resume", JobName(job.id)),
      kReasonJobNotResumable);
}

absl::Status CheckDrift(const JobRecord& job, const JobPlan& plan, const std::string& code_version,
                        OtherVersion other) {
  CALDERA_RETURN_IF_ERROR(
      CheckSame(job, "model.sha256", job.job.model().sha256(), plan.model.sha256()));
  CALDERA_RETURN_IF_ERROR(
      CheckSame(job, "calibration.sha256", job.calibration_sha256, plan.calibration_sha256));
  CALDERA_RETURN_IF_ERROR(CheckSameSpec(job, plan.spec));
  CALDERA_RETURN_IF_ERROR(CheckSame(job, "matrix_budget_bytes",
                                    std::to_string(job.job.matrix_budget_bytes()),
                                    std::to_string(plan.matrix_budget_bytes)));
  if (other == OtherVersion::kAccept) return absl::OkStatus();
  return CheckSame(job, "code_version", job.job.code_version(), code_version);
}

absl::StatusOr<LostWork> FindLostWork(const JobState& job, const store::CheckpointStore& store) {
  return Inventory(job, store).Take();
}

}  // namespace caldera::coordinator
