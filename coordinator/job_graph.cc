#include "coordinator/job_graph.h"

#include <algorithm>

#include "common/base/status.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

// Passes of m n^2 flops that one matrix costs with the shipped recipe: rank trials, LDLQ, sweeps
// and their error evaluations, codebook searches converted to the same currency.
constexpr double kPasses = 30;
// Tokens that a probe takes through each altered model (worker/probe_job.h).
constexpr double kProbedTokens = 256;
constexpr char kJobPrefix[] = "compressionJobs/";

TaskRecord MakeTask(const base::JobId& job, TaskKind kind, int index, double work) {
  TaskRecord task;
  task.job = job;
  task.kind = kind;
  task.index = index;
  task.work = work;
  task.id = TaskKindName(kind);
  if (kind != TaskKind::kEmbeddings) task.id += "-" + std::to_string(index);
  return task;
}

bool HasTarget(const v1::JobSpec& spec) { return spec.decomposition().target_bits() > 0; }

int ProbeCount(const v1::JobSpec& spec, int layers) {
  return HasTarget(spec) ? std::min(spec.calibration().ranges(), layers) : 0;
}

bool HessiansReady(const JobState& job, LayerSpan layers) {
  const auto begin = job.hessians.lower_bound({layers.first, 0, ""});
  const auto end = job.hessians.lower_bound({layers.last, 0, ""});
  const int expected = (layers.last - layers.first) * job.record.job.spec().calibration().ranges() *
                       model::kHessianKindCount;
  return std::distance(begin, end) == expected;
}

template <typename Task>
void AddHessians(const JobState& job, LayerSpan layers, Task* task) {
  const auto end = job.hessians.lower_bound({layers.last, 0, ""});
  for (auto it = job.hessians.lower_bound({layers.first, 0, ""}); it != end; ++it) {
    *task->add_hessians() = it->second;
  }
}

v1::CompressTask DescribeCompress(const JobState& job, const TaskRecord& task) {
  v1::CompressTask compress;
  compress.set_layer(task.index);
  AddHessians(job, {task.index, task.index + 1}, &compress);
  for (auto it = job.matrices.lower_bound({task.index, 0});
       it != job.matrices.end() && it->first.first == task.index; ++it) {
    compress.add_committed(it->second.result.projection());
  }
  compress.mutable_q_bits()->Add(task.q_bits.begin(), task.q_bits.end());
  return compress;
}

v1::ProbeTask DescribeProbe(const JobState& job, const TaskRecord& task) {
  const LayerSpan layers = ProbeLayers(job, task);
  v1::ProbeTask probe;
  probe.set_first_layer(layers.first);
  probe.set_last_layer(layers.last);
  AddHessians(job, layers, &probe);
  return probe;
}

double CommittedWork(const JobState& job, const TaskRecord& task) {
  double work = 0;
  if (task.kind == TaskKind::kCalibrate) {
    const double expected = job.record.job.model().layers() * model::kHessianKindCount;
    const auto committed = std::count_if(
        job.hessians.begin(), job.hessians.end(),
        [&task](const auto& entry) { return std::get<1>(entry.first) == task.index; });
    if (expected > 0) work = task.work * static_cast<double>(committed) / expected;
  }
  if (task.kind == TaskKind::kCompress) {
    const auto end = job.matrices.lower_bound({task.index + 1, 0});
    for (auto it = job.matrices.lower_bound({task.index, 0}); it != end; ++it) {
      work += MatrixWork(it->second.result.rows(), it->second.result.columns());
    }
  }
  return work;
}

void SetRatioAndEta(const JobState& job, absl::Time now, v1::JobProgress* progress) {
  double done = 0;
  double total = 0;
  for (const TaskRecord& task : job.tasks) {
    total += task.work;
    done += task.work - RemainingWork(job, task);
  }
  const double ratio = total > 0 ? std::min(1.0, done / total) : 0;
  progress->set_ratio(ratio);
  progress->set_eta_seconds(-1);
  if (job.record.job.state() == v1::SUCCEEDED) {
    progress->set_eta_seconds(0);
  } else if (job.record.job.state() == v1::RUNNING && ratio > 0) {
    const auto& start = job.record.job.start_time();
    const absl::Time started =
        absl::FromUnixSeconds(start.seconds()) + absl::Nanoseconds(start.nanos());
    const double elapsed = absl::ToDoubleSeconds(now - started);
    progress->set_eta_seconds(std::max(0.0, elapsed * (1 - ratio) / ratio));
  }
}

}  // namespace

WorkEstimate EstimateWork(const model::ModelConfig& config, const v1::JobSpec& spec) {
  WorkEstimate work;
  double weights = 0;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const model::MatrixShape shape = model::ShapeOf(config, static_cast<model::Projection>(p));
    weights += static_cast<double>(shape.rows) * static_cast<double>(shape.columns);
    work.compress += MatrixWork(shape.rows, shape.columns);
  }
  double squares = 0;
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const double n =
        static_cast<double>(model::HessianSize(config, static_cast<model::HessianKind>(k)));
    squares += n * n;
  }
  const double tokens = static_cast<double>(spec.calibration().samples()) *
                        spec.calibration().seq_len() / spec.calibration().ranges();
  work.calibrate = tokens * static_cast<double>(config.num_hidden_layers) * (2 * weights + squares);
  if (const int probes = ProbeCount(spec, static_cast<int>(config.num_hidden_layers)); probes > 0) {
    const double layers = static_cast<double>(config.num_hidden_layers);
    const double matrices = layers * model::kProjectionCount;
    // Half of the layers lie behind a matrix, on average, and then the head.
    const double forward =
        layers * weights + 2 * static_cast<double>(config.vocab_size * config.hidden_size);
    work.probe =
        (kProbedTokens * matrices * forward + layers * work.compress / kPasses * 3) / probes;
  }
  // Reading and rounding, not arithmetic; a few flops per parameter keep it last in line.
  work.embeddings =
      10.0 * static_cast<double>(config.vocab_size) * static_cast<double>(config.hidden_size);
  return work;
}

double MatrixWork(std::int64_t rows, std::int64_t columns) {
  const auto n = static_cast<double>(columns);
  return kPasses * static_cast<double>(rows) * n * n;
}

double RemainingWork(const JobState& job, const TaskRecord& task) {
  if (task.state == TaskState::kDone) return 0;
  return std::max(0.0, task.work - CommittedWork(job, task));
}

std::vector<TaskRecord> MakeTasks(const base::JobId& job, const v1::JobSpec& spec, int layers,
                                  const WorkEstimate& work) {
  std::vector<TaskRecord> tasks;
  for (int range = 0; range < spec.calibration().ranges(); ++range) {
    tasks.push_back(MakeTask(job, TaskKind::kCalibrate, range, work.calibrate));
  }
  tasks.push_back(MakeTask(job, TaskKind::kEmbeddings, 0, work.embeddings));
  for (int probe = 0; probe < ProbeCount(spec, layers); ++probe) {
    tasks.push_back(MakeTask(job, TaskKind::kProbe, probe, work.probe));
  }
  for (int layer = 0; layer < layers; ++layer) {
    tasks.push_back(MakeTask(job, TaskKind::kCompress, layer, work.compress));
  }
  return tasks;
}

LayerSpan ProbeLayers(const JobState& job, const TaskRecord& probe) {
  const int layers = job.record.job.model().layers();
  const int count = ProbeCount(job.record.job.spec(), layers);
  return {layers * probe.index / count, layers * (probe.index + 1) / count};
}

std::optional<std::vector<v1::MatrixProbe>> AllProbes(const JobState& job) {
  std::vector<v1::MatrixProbe> probes;
  for (const TaskRecord& task : job.tasks) {
    if (task.kind != TaskKind::kProbe) continue;
    if (task.state != TaskState::kDone) return std::nullopt;
    probes.insert(probes.end(), task.probes.begin(), task.probes.end());
  }
  return probes;
}

bool InputsReady(const JobState& job, const TaskRecord& task) {
  if (task.kind == TaskKind::kProbe) return HessiansReady(job, ProbeLayers(job, task));
  if (task.kind != TaskKind::kCompress) return true;
  const bool allotted = !HasTarget(job.record.job.spec()) || !task.q_bits.empty();
  return allotted && HessiansReady(job, {task.index, task.index + 1});
}

bool AllTasksDone(const JobState& job) {
  return std::all_of(job.tasks.begin(), job.tasks.end(),
                     [](const TaskRecord& task) { return task.state == TaskState::kDone; });
}

double QBitsOf(const v1::JobSpec& spec, const TaskRecord& task, int projection) {
  return task.q_bits.empty() ? spec.decomposition().q_bits()
                             : task.q_bits[static_cast<std::size_t>(projection)];
}

v1::Task DescribeTask(const JobState& job, const TaskRecord& task) {
  v1::Task description;
  description.set_task_id(task.id);
  switch (task.kind) {
    case TaskKind::kCalibrate:
      description.mutable_calibrate()->set_range(task.index);
      description.mutable_calibrate()->set_ranges(job.record.job.spec().calibration().ranges());
      break;
    case TaskKind::kEmbeddings:
      description.mutable_embeddings();
      break;
    case TaskKind::kCompress:
      *description.mutable_compress() = DescribeCompress(job, task);
      break;
    case TaskKind::kProbe:
      *description.mutable_probe() = DescribeProbe(job, task);
      break;
  }
  return description;
}

v1::JobProgress ComputeProgress(const JobState& job, absl::Time now) {
  v1::JobProgress progress;
  constexpr int kKinds = static_cast<int>(TaskKind::kProbe) + 1;
  int counts[kKinds] = {};
  int done[kKinds] = {};
  for (const TaskRecord& task : job.tasks) {
    const int kind = static_cast<int>(task.kind);
    ++counts[kind];
    if (task.state == TaskState::kDone) ++done[kind];
  }
  const int calibrate = static_cast<int>(TaskKind::kCalibrate);
  const int compress = static_cast<int>(TaskKind::kCompress);
  const int probe = static_cast<int>(TaskKind::kProbe);
  progress.set_calibration_tasks(counts[calibrate]);
  progress.set_calibration_tasks_done(done[calibrate]);
  progress.set_probe_tasks(counts[probe]);
  progress.set_probe_tasks_done(done[probe]);
  progress.set_layers(counts[compress]);
  progress.set_layers_done(done[compress]);
  progress.set_matrices(counts[compress] * model::kProjectionCount);
  progress.set_matrices_committed(static_cast<int>(job.matrices.size()));
  double error = 0;
  for (const auto& [key, matrix] : job.matrices) error += matrix.result.relative_error();
  if (!job.matrices.empty()) {
    progress.set_mean_relative_error(error / static_cast<double>(job.matrices.size()));
  }
  SetRatioAndEta(job, now, &progress);
  return progress;
}

v1::CompressionJob DescribeJob(const JobState& job, absl::Time now) {
  v1::CompressionJob description = job.record.job;
  *description.mutable_progress() = ComputeProgress(job, now);
  description.set_last_event_sequence(job.record.last_sequence);
  return description;
}

v1::State LayerState(const JobState& job, const TaskRecord& task) {
  switch (task.state) {
    case TaskState::kDone:
      return v1::SUCCEEDED;
    case TaskState::kLeased:
      return v1::RUNNING;
    default:
      break;
  }
  const v1::State state = job.record.job.state();
  return state == v1::FAILED || state == v1::CANCELLED ? state : v1::PENDING;
}

v1::Layer DescribeLayer(const JobState& job, int layer) {
  v1::Layer description;
  description.set_name(fmt::format("{}/layers/{}", JobName(job.record.id), layer));
  description.set_index(layer);
  if (const TaskRecord* task = FindTask(job, fmt::format("compress-{}", layer))) {
    description.set_state(LayerState(job, *task));
    description.set_attempt(task->fence.attempt);
    description.set_worker(task->worker.value());
  }
  for (auto it = job.matrices.lower_bound({layer, 0});
       it != job.matrices.end() && it->first.first == layer; ++it) {
    *description.add_matrices() = it->second.result;
  }
  return description;
}

std::string JobName(const base::JobId& job) { return kJobPrefix + job.value(); }

absl::StatusOr<base::JobId> ParseJobName(const std::string& name) {
  if (name.rfind(kJobPrefix, 0) == 0) {
    const std::string id = name.substr(sizeof(kJobPrefix) - 1);
    if (CheckJobId(id).ok()) return base::JobId(id);
  }
  return base::InvalidArgument("\"{}\" is not of the form compressionJobs/{{job}}", name);
}

absl::StatusOr<int> ProjectionIndex(const std::string& path) {
  for (int p = 0; p < model::kProjectionCount; ++p) {
    if (model::ProjectionPath(static_cast<model::Projection>(p)) == path) return p;
  }
  return base::InvalidArgument("\"{}\" is no projection", path);
}

bool HasEnded(v1::State state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

}  // namespace caldera::coordinator
