#include "coordinator/resume.h"

#include <google/protobuf/util/message_differencer.h>

#include <string>
#include <utility>
#include <vector>

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

absl::Status CheckStored(const std::string& what, const v1::ObjectRef& object,
                         const store::CheckpointStore& store) {
  const absl::StatusOr<store::ObjectInfo> info = store.StatObject(object.sha256());
  if (absl::IsNotFound(info.status())) {
    return base::DataLoss("{}: object {} is not in the store {}", what, object.sha256(),
                          store.uri());
  }
  return info.status();
}

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

absl::Status CheckCommitted(const JobState& job, const store::CheckpointStore& store) {
  for (const auto& [key, matrix] : job.matrices) {
    const std::string what = fmt::format("layer {} {}", key.first, matrix.result.projection());
    CALDERA_RETURN_IF_ERROR(CheckStored(what, matrix.result.object(), store));
  }
  for (const auto& [key, hessian] : job.hessians) {
    const std::string what = fmt::format("Hessian {} of layer {}, range {}", hessian.kind(),
                                         hessian.layer(), hessian.range());
    CALDERA_RETURN_IF_ERROR(CheckStored(what, hessian.object(), store));
  }
  for (const TaskRecord& task : job.tasks) {
    if (task.shard.sha256().empty()) continue;
    CALDERA_RETURN_IF_ERROR(CheckStored("shard of " + task.id, task.shard, store));
  }
  return absl::OkStatus();
}

absl::Status MeetOtherCode(const std::string& code_version, ClusterCore* core) {
  std::vector<base::JobId> jobs;
  for (const auto& [id, job] : core->state().jobs) {
    if (HasEnded(job.record.job.state())) continue;
    if (job.record.job.code_version() != code_version) jobs.push_back(job.record.id);
  }
  for (const base::JobId& id : jobs) {
    CALDERA_ASSIGN_OR_RETURN(const JobState* job, core->FindJob(id));
    if (job->record.job.state() == v1::PENDING) {
      JobEdit edit = core->Edit(*job);
      edit.SetCodeVersion(code_version);
      CALDERA_RETURN_IF_ERROR(core->Apply(std::move(edit)));
      continue;
    }
    const std::string change = fmt::format(
        "was {} and is {} now; resume it with --accept-version to go on with other code",
        job->record.job.code_version(), code_version);
    CALDERA_RETURN_IF_ERROR(core->FailJob(id, Drifted(job->record, "code_version", change)));
  }
  return absl::OkStatus();
}

}  // namespace caldera::coordinator
