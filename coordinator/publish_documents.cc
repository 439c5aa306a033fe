#include "coordinator/publish_documents.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/model/hf_model.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "coordinator/job_graph.h"

namespace caldera::coordinator {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr int kCheckpointVersion = 1;
constexpr std::uint64_t kTextLimit = std::uint64_t{256} << 20;

Value Text(const std::string& text) {
  Value value;
  value.set_string_value(text);
  return value;
}

Value Number(double number) {
  Value value;
  value.set_number_value(number);
  return value;
}

Value Numbers(const std::vector<double>& numbers) {
  Value value;
  value.mutable_list_value();
  for (const double number : numbers) *value.mutable_list_value()->add_values() = Number(number);
  return value;
}

Value TimeText(absl::Time time) {
  return Text(absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()));
}

Value TimeText(const google::protobuf::Timestamp& time) {
  return TimeText(absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()));
}

Struct* AddRecord(const std::string& list, Struct* record) {
  return (*record->mutable_fields())[list]
      .mutable_list_value()
      ->add_values()
      ->mutable_struct_value();
}

void DescribeTasks(const JobState& job, const std::map<std::string, WorkerRecord>& workers,
                   Struct* run) {
  for (const TaskRecord& task : job.tasks) {
    auto& fields = *AddRecord("tasks", run)->mutable_fields();
    fields["task"] = Text(task.id);
    fields["worker"] = Text(task.worker.value());
    fields["attempts"] = Number(task.attempts);
    fields["started"] = TimeText(task.granted);
    fields["seconds"] = Number(task.seconds);
    fields["rank_flops"] = Numbers(task.rank_flops);
    const auto worker = workers.find(task.worker.value());
    if (worker == workers.end()) continue;
    fields["host"] = Text(worker->second.host);
    fields["ranks"] = Number(worker->second.ranks);
    fields["threads_per_rank"] = Number(worker->second.threads_per_rank);
  }
}

void DescribeMatrices(const JobState& job, Struct* run) {
  for (const auto& [key, matrix] : job.matrices) {
    auto& fields = *AddRecord("matrices", run)->mutable_fields();
    fields["name"] = Text(fmt::format("model.layers.{}.{}", key.first, matrix.result.projection()));
    fields["worker"] = Text(matrix.worker.value());
    fields["attempt"] = Number(matrix.attempt);
    fields["seconds"] = Number(matrix.result.seconds());
    fields["flops"] = Number(matrix.result.flops());
  }
}

absl::StatusOr<std::string> SourceConfig(const model::OpenedModel& model) {
  if (model.format == model::ModelFormat::kGguf) return model::ModelConfigToJson(model.config);
  return model::ReadText(*model.files, model::kConfigFile, kTextLimit);
}

store::ManifestSpec SpecFacts(const v1::JobSpec& spec) {
  store::ManifestSpec facts;
  facts.calibration = {spec.calibration().samples(), spec.calibration().seq_len(),
                       spec.calibration().ranges(), spec.calibration().seed()};
  const v1::Decomposition& decomposition = spec.decomposition();
  facts.decomposition = {decomposition.recipe(),      decomposition.codebook(),
                         decomposition.q_bits(),      decomposition.rank(),
                         decomposition.l_bits(),      decomposition.r_bits(),
                         decomposition.iterations(),  decomposition.seed(),
                         decomposition.target_bits(), decomposition.target_bits_include()};
  facts.embedding_bits = spec.embedding_bits();
  return facts;
}

// What a matrix of the job was found to matter by its probe; 0 without one.
double DivergenceOf(const JobState& job, const MatrixKey& key, const std::string& projection) {
  for (const TaskRecord& task : job.tasks) {
    for (const v1::MatrixProbe& probe : task.probes) {
      if (probe.layer() == key.first && probe.projection() == projection) {
        return probe.divergence();
      }
    }
  }
  return 0;
}

store::ManifestMatrix MatrixFacts(const JobState& job, const MatrixKey& key,
                                  const v1::MatrixResult& result) {
  const v1::Decomposition& decomposition = job.record.job.spec().decomposition();
  store::ManifestMatrix facts;
  facts.name = fmt::format("model.layers.{}.{}", key.first, result.projection());
  facts.rows = result.rows();
  facts.columns = result.columns();
  facts.rank = result.rank();
  facts.q_bits = result.q_bits();
  facts.l_bits = decomposition.l_bits();
  facts.r_bits = decomposition.r_bits();
  facts.bits_per_weight = result.bits_per_weight();
  facts.relative_error = result.relative_error();
  facts.error_curve.assign(result.error_curve().begin(), result.error_curve().end());
  facts.best_iteration = result.best_iteration();
  facts.damping = result.damping();
  facts.probe_divergence = DivergenceOf(job, key, result.projection());
  return facts;
}

}  // namespace

absl::StatusOr<std::string> ConfigJson(const model::OpenedModel& model, const v1::JobSpec& spec) {
  CALDERA_ASSIGN_OR_RETURN(std::string text, SourceConfig(model));
  CALDERA_ASSIGN_OR_RETURN(const model::JsonObject config,
                           model::JsonObject::Parse(text, model.files->name() + "/config.json"));
  // Spliced as text: every other byte of the source's configuration stays as its author wrote it.
  text.erase(text.find_last_of('}'));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  const v1::Decomposition& decomposition = spec.decomposition();
  const bool has_target = decomposition.target_bits() > 0;
  const std::string separator = config.Keys().empty() ? "\n" : ",\n";
  return text + separator +
         fmt::format(
             "  \"quantization_config\": {{\n"
             "    \"quant_method\": \"caldera\",\n    \"version\": {},\n"
             "    \"codebook\": \"{}\",\n    \"{}\": {},\n    \"rank\": {},\n"
             "    \"l_bits\": {},\n    \"r_bits\": {},\n    \"embedding_bits\": {}\n  }}\n}}\n",
             kCheckpointVersion, decomposition.codebook(), has_target ? "target_bits" : "q_bits",
             has_target ? decomposition.target_bits() : decomposition.q_bits(),
             decomposition.rank(), decomposition.l_bits(), decomposition.r_bits(),
             spec.embedding_bits());
}

std::string RunJson(const JobState& job, const std::map<std::string, WorkerRecord>& workers) {
  Struct run;
  auto& fields = *run.mutable_fields();
  const v1::CompressionJob& record = job.record.job;
  fields["job"] = Text(JobName(job.record.id));
  fields["model_uri"] = Text(record.spec().model_uri());
  fields["output_uri"] = Text(record.spec().output_uri());
  fields["calibration_uri"] = Text(record.spec().calibration().uri());
  fields["created"] = TimeText(record.create_time());
  fields["started"] = TimeText(record.start_time());
  DescribeTasks(job, workers, &run);
  DescribeMatrices(job, &run);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  // Fails only for numbers that are not finite, which CommitMatrix has refused.
  const auto status = google::protobuf::util::MessageToJsonString(run, &json, options);
  return status.ok() ? json : "{}\n";
}

store::Manifest ManifestFacts(const JobState& job, const std::string& tool_version) {
  const v1::CompressionJob& record = job.record.job;
  store::Manifest manifest;
  manifest.tool_version = tool_version;
  manifest.spec = SpecFacts(record.spec());
  manifest.model = {record.model().sha256(), record.model().architecture(), record.model().layers(),
                    record.model().parameters(), record.model().source_bytes()};
  const v1::Calibration& calibration = record.spec().calibration();
  manifest.calibration = {job.record.calibration_sha256,
                          std::int64_t{calibration.samples()} * calibration.seq_len()};
  for (const auto& [key, matrix] : job.matrices) {
    manifest.matrices.push_back(MatrixFacts(job, key, matrix.result));
  }
  return manifest;
}

}  // namespace caldera::coordinator
