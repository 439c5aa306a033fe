#include "coordinator/job_desk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "common/base/status.h"
#include "coordinator/error_details.h"
#include "coordinator/job_graph.h"
#include "coordinator/resume.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;

// Where a page starts and how long it is; tokens are decimal positions.
struct Page {
  std::int64_t start = 0;
  std::size_t size = kDefaultPageSize;
};

absl::StatusOr<Page> ParsePage(int page_size, const std::string& token, std::int64_t first) {
  if (page_size < 0) return ViolationsToStatus({{"page_size", "must not be negative"}});
  Page page;
  page.start = first;
  if (page_size > 0) page.size = static_cast<std::size_t>(std::min(page_size, kMaxPageSize));
  if (!token.empty() && !absl::SimpleAtoi(token, &page.start)) {
    return ViolationsToStatus({{"page_token", "is not one that List returned"}});
  }
  return page;
}

absl::StatusOr<std::optional<v1::State>> ParseFilter(const std::string& filter) {
  constexpr char kPrefix[] = "state=";
  if (filter.empty()) return std::optional<v1::State>();
  v1::State state = v1::STATE_UNSPECIFIED;
  const bool matches =
      filter.rfind(kPrefix, 0) == 0 && v1::State_Parse(filter.substr(sizeof(kPrefix) - 1), &state);
  if (!matches) {
    return ViolationsToStatus({{"filter", fmt::format("\"{}\" is not state=STATE", filter)}});
  }
  return std::optional<v1::State>(state);
}

v1::Worker DescribeWorker(const ClusterCore& core, const WorkerRecord& worker) {
  v1::Worker description;
  description.set_worker_id(worker.id.value());
  description.set_version(worker.version);
  description.set_ranks(worker.ranks);
  description.set_threads_per_rank(worker.threads_per_rank);
  description.set_memory_bytes(worker.memory_bytes);
  description.set_host(worker.host);
  description.set_state(core.StateOf(worker));
  if (const std::optional<TaskRecord> task = core.HeldTask(worker.id)) {
    description.set_lease(fmt::format("{} {} attempt {}{}{}", JobName(task->job), task->id,
                                      task->fence.attempt, task->status.empty() ? "" : ": ",
                                      task->status));
  }
  if (worker.last_seen != absl::InfinitePast()) {
    SetTimestamp(worker.last_seen, description.mutable_last_heartbeat_time());
  }
  return description;
}

void Lose(const LostWork& lost, JobEdit* edit) {
  for (const MatrixKey& key : lost.matrices) edit->LoseMatrix(key);
  for (const HessianKey& key : lost.hessians) edit->LoseHessian(key);
  for (const std::string& task : lost.tasks) edit->RedoTask(task);
  for (const std::string& report : lost.reports) {
    edit->Emit({.type = "object.lost", .message = report + "; it is made again"});
  }
}

}  // namespace

absl::StatusOr<std::optional<v1::CompressionJob>> JobDesk::FindRepeated(
    const JobRequest& request) const {
  for (const auto& [id, job] : core_->state().jobs) {
    if (request.request_id.empty() || job.record.request_id != request.request_id) continue;
    if (job.record.request_fingerprint == request.fingerprint) {
      return std::optional(DescribeJob(job, core_->Now()));
    }
    return WithReason(base::AlreadyExists("request_id {} was used for another request (job {})",
                                          request.request_id, JobName(job.record.id)),
                      kReasonJobExists);
  }
  if (core_->state().jobs.count(request.job_id) > 0) {
    return WithReason(base::AlreadyExists("job {} exists", JobName(base::JobId(request.job_id))),
                      kReasonJobExists);
  }
  return std::optional<v1::CompressionJob>();
}

JobState JobDesk::MakeJob(const JobRequest& request, const JobPlan& plan) const {
  JobState job;
  JobRecord& record = job.record;
  // Eight digits are enough to tell jobs apart and short enough to type; taken ones are drawn
  // again.
  std::string id = request.job_id;
  while (id.empty() || (request.job_id.empty() && core_->state().jobs.count(id) > 0)) {
    id = "job-" + core_->NewId().substr(0, 8);
  }
  record.id = base::JobId(id);
  for (const auto& [other, state] : core_->state().jobs) {
    record.ordinal = std::max(record.ordinal, state.record.ordinal + 1);
  }
  record.request_id = request.request_id;
  record.request_fingerprint = request.fingerprint;
  record.calibration_sha256 = plan.calibration_sha256;
  record.calibration_tokens = plan.calibration_tokens;
  record.job.set_name(JobName(record.id));
  *record.job.mutable_spec() = plan.spec;
  record.job.set_state(v1::PENDING);
  record.job.set_priority(request.priority);
  record.job.set_code_version(request.code_version);
  *record.job.mutable_model() = plan.model;
  record.job.set_matrix_budget_bytes(static_cast<std::int64_t>(plan.matrix_budget_bytes));
  record.job.set_worker_memory_bytes(static_cast<std::int64_t>(plan.worker_memory_bytes));
  SetTimestamp(core_->Now(), record.job.mutable_create_time());
  return job;
}

v1::CompressionJob JobDesk::Preview(const JobRequest& request, const JobPlan& plan) const {
  return MakeJob(request, plan).record.job;
}

absl::StatusOr<v1::CompressionJob> JobDesk::Insert(const JobRequest& request, const JobPlan& plan) {
  CALDERA_ASSIGN_OR_RETURN(const std::optional<v1::CompressionJob> repeated, FindRepeated(request));
  if (repeated.has_value()) return *repeated;
  JobState job = MakeJob(request, plan);
  const base::JobId id = job.record.id;
  const std::vector<TaskRecord> tasks = MakeTasks(id, plan.spec, plan.model.layers(), plan.work);
  job.tasks = tasks;
  JobEdit edit(&job, core_->Now());
  for (const TaskRecord& task : tasks) edit.PutTask(task);
  edit.Emit({.type = "job.created",
             .message =
                 fmt::format("{} layers, {} parameters, {} calibration tokens", plan.model.layers(),
                             plan.model.parameters(), plan.calibration_tokens)});
  CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  return Get(id);
}

absl::StatusOr<v1::CompressionJob> JobDesk::Get(const base::JobId& job) const {
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, core_->FindJob(job));
  return DescribeJob(*state, core_->Now());
}

absl::StatusOr<v1::ListCompressionJobsResponse> JobDesk::List(
    const v1::ListCompressionJobsRequest& request) const {
  CALDERA_ASSIGN_OR_RETURN(const std::optional<v1::State> wanted, ParseFilter(request.filter()));
  // The token is the smallest ordinal already shown: new jobs do not shift pages.
  CALDERA_ASSIGN_OR_RETURN(const Page page, ParsePage(request.page_size(), request.page_token(),
                                                      std::numeric_limits<std::int64_t>::max()));
  std::vector<const JobState*> jobs;
  for (const auto& [id, job] : core_->state().jobs) {
    const bool matches = !wanted.has_value() || job.record.job.state() == *wanted;
    if (matches && job.record.ordinal < page.start) jobs.push_back(&job);
  }
  std::sort(jobs.begin(), jobs.end(), [](const JobState* a, const JobState* b) {
    return a->record.ordinal > b->record.ordinal;
  });
  v1::ListCompressionJobsResponse response;
  for (std::size_t i = 0; i < std::min(jobs.size(), page.size); ++i) {
    *response.add_jobs() = DescribeJob(*jobs[i], core_->Now());
  }
  if (jobs.size() > page.size) {
    response.set_next_page_token(std::to_string(jobs[page.size - 1]->record.ordinal));
  }
  return response;
}

absl::StatusOr<v1::ListLayersResponse> JobDesk::ListLayers(
    const v1::ListLayersRequest& request) const {
  CALDERA_ASSIGN_OR_RETURN(const base::JobId id, ParseJobName(request.parent()));
  CALDERA_ASSIGN_OR_RETURN(const JobState* job, core_->FindJob(id));
  CALDERA_ASSIGN_OR_RETURN(const Page page,
                           ParsePage(request.page_size(), request.page_token(), 0));
  v1::ListLayersResponse response;
  const std::int64_t layers = job->record.job.model().layers();
  const std::int64_t start = std::clamp<std::int64_t>(page.start, 0, layers);
  const std::int64_t end = std::min(layers, start + static_cast<std::int64_t>(page.size));
  for (std::int64_t layer = start; layer < end; ++layer) {
    *response.add_layers() = DescribeLayer(*job, static_cast<int>(layer));
  }
  if (end < layers) response.set_next_page_token(std::to_string(end));
  return response;
}

absl::StatusOr<v1::ListWorkersResponse> JobDesk::ListWorkers(
    const v1::ListWorkersRequest& request) const {
  CALDERA_ASSIGN_OR_RETURN(const Page page,
                           ParsePage(request.page_size(), request.page_token(), 0));
  v1::ListWorkersResponse response;
  std::int64_t position = 0;
  for (const auto& [id, worker] : core_->state().workers) {
    if (position++ < page.start) continue;
    if (static_cast<std::size_t>(response.workers_size()) == page.size) {
      response.set_next_page_token(std::to_string(position - 1));
      break;
    }
    *response.add_workers() = DescribeWorker(*core_, worker);
  }
  return response;
}

absl::StatusOr<v1::CompressionJob> JobDesk::Cancel(const base::JobId& job,
                                                   const std::set<std::string>& past_cancelling) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, core_->FindJob(job));
  if (!HasEnded(state->record.job.state()) && past_cancelling.count(job.value()) == 0) {
    JobEdit edit = core_->Edit(*state);
    edit.ReleaseTasks();
    edit.SetState(v1::CANCELLED);
    edit.Emit({.type = "job.cancelled", .message = "cancelled by request"});
    CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  }
  return Get(job);
}

absl::StatusOr<v1::CompressionJob> JobDesk::Resume(const base::JobId& job,
                                                   const std::string& code_version,
                                                   const LostWork& lost) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, core_->FindJob(job));
  if (HasEnded(state->record.job.state())) {
    CALDERA_RETURN_IF_ERROR(CheckResumable(state->record));
    JobEdit edit = core_->Edit(*state);
    Lose(lost, &edit);
    edit.Reopen();
    edit.SetCodeVersion(code_version);
    const v1::JobProgress progress = ComputeProgress(edit.job(), edit.now());
    edit.Emit({.type = "job.resumed",
               .message = fmt::format("{} of {} matrices are there", progress.matrices_committed(),
                                      progress.matrices())});
    CALDERA_RETURN_IF_ERROR(core_->Apply(std::move(edit)));
  }
  return Get(job);
}

absl::Status JobDesk::Delete(const base::JobId& job) {
  CALDERA_ASSIGN_OR_RETURN(const JobState* state, core_->FindJob(job));
  if (!HasEnded(state->record.job.state())) {
    return WithReason(base::FailedPrecondition("job {} is {}: cancel it first", JobName(job),
                                               StateName(state->record.job.state())),
                      kReasonJobRunning);
  }
  Transition transition;
  transition.deleted_jobs.push_back(job);
  return core_->ApplyTransition(transition);
}

}  // namespace caldera::coordinator
