#include "coordinator/planner.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/model/calibration_text.h"
#include "common/model/hf_model.h"
#include "common/model/job_estimate.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "common/model/size_estimate.h"
#include "common/model/tokenizer.h"
#include "common/store/checkpoint_reader.h"
#include "common/store/keys.h"
#include "common/store/open_files.h"
#include "coordinator/spec.h"

namespace caldera::coordinator {
namespace {

constexpr std::size_t kHashChunk = std::size_t{1} << 20;
constexpr std::uint64_t kConfigLimit = std::uint64_t{16} << 20;

std::string ArchitectureName(model::Architecture architecture) {
  switch (architecture) {
    case model::Architecture::kLlama:
      return "llama";
    case model::Architecture::kMistral:
      return "mistral";
    case model::Architecture::kQwen2:
      return "qwen2";
  }
  return "unknown";
}

absl::StatusOr<std::string> HashSource(const model::ByteSource& source) {
  base::Sha256 hash;
  std::vector<std::byte> chunk;
  for (std::uint64_t offset = 0; offset < source.size(); offset += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(kHashChunk, source.size() - offset));
    CALDERA_RETURN_IF_ERROR(source.Read(offset, chunk));
    hash.Update(chunk);
  }
  return hash.HexDigest();
}

// The published config.json gets a quantization_config of ours: the source's must not have one.
absl::Status CheckConfigIsExtensible(const model::OpenedModel& model) {
  if (model.format != model::ModelFormat::kHuggingFace) return absl::OkStatus();
  CALDERA_ASSIGN_OR_RETURN(const std::string text,
                           model::ReadText(*model.files, model::kConfigFile, kConfigLimit));
  CALDERA_ASSIGN_OR_RETURN(const model::JsonObject config,
                           model::JsonObject::Parse(text, model.files->name() + "/config.json"));
  const std::vector<std::string> keys = config.Keys();
  if (std::find(keys.begin(), keys.end(), "quantization_config") == keys.end()) {
    return absl::OkStatus();
  }
  return base::InvalidArgument("{}: the model already has a quantization_config", config.name());
}

absl::Status PlanCalibration(const model::OpenedModel& model, JobPlan* plan) {
  const v1::Calibration& calibration = plan->spec.calibration();
  CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<model::Tokenizer> tokenizer,
                           model::LoadTokenizer(*model.files));
  CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<model::ByteSource> text,
                           store::OpenFile(calibration.uri()));
  CALDERA_ASSIGN_OR_RETURN(plan->calibration_sha256, HashSource(*text));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids,
                           model::TokenizeFile(*text, *tokenizer));
  plan->calibration_tokens = static_cast<std::int64_t>(ids.size());
  model::CalibrationOptions options;
  options.samples = calibration.samples();
  options.seq_len = calibration.seq_len();
  options.seed = calibration.seed();
  return base::WithContext(model::CalibrationWindows(ids, *tokenizer, options).status(),
                           text->name());
}

// A target must leave room for 2 bits everywhere; `sizes` are within the budget if any are.
absl::Status CheckBudget(std::uint64_t budget, const model::CheckpointSizes& sizes,
                         const model::JobSettings& settings) {
  if (sizes.matrix_bytes <= budget) return absl::OkStatus();
  return ViolationsToStatus(
      {{"decomposition.target_bits",
        fmt::format("{} leaves {} bytes for matrices, which take {} with 2 bits and rank {}",
                    settings.decomposition.target_bits, budget, sizes.matrix_bytes,
                    settings.decomposition.rank)}});
}

absl::Status EstimateBytes(const model::OpenedModel& model, JobPlan* plan) {
  const model::JobSettings asked = SettingsOf(plan->spec);
  CALDERA_ASSIGN_OR_RETURN(const model::JobSettings settings, model::WithSameBits(model, asked));
  CALDERA_ASSIGN_OR_RETURN(const model::CheckpointSizes sizes,
                           model::EstimateSizes(model, settings));
  if (asked.decomposition.target_bits > 0) {
    CALDERA_ASSIGN_OR_RETURN(plan->matrix_budget_bytes, model::MatrixBudget(model, asked));
    CALDERA_RETURN_IF_ERROR(CheckBudget(plan->matrix_budget_bytes, sizes, asked));
  }
  plan->output_bytes = sizes.output_bytes;
  plan->worker_memory_bytes = model::EstimatePeakMemory(model.config, settings, {});
  // The matrices lie in the store by themselves and in the shards.
  plan->store_bytes = sizes.matrix_bytes + sizes.output_bytes +
                      model::HessianBytes(model.config, plan->spec.calibration().ranges());
  return absl::OkStatus();
}

// Free bytes of the file system that `uri` will lie on; nullopt where nobody knows.
std::optional<std::uint64_t> FreeBytesAt(const std::string& uri) {
  const absl::StatusOr<std::string> path = store::PathOfFileUri(uri);
  if (!path.ok()) return std::nullopt;  // a bucket
  std::filesystem::path existing = *path;
  std::error_code error;
  while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  const std::filesystem::space_info space = std::filesystem::space(existing, error);
  if (error) return std::nullopt;
  return space.available;
}

absl::Status CheckSpace(const JobPlan& plan, const std::string& output,
                        const store::CheckpointStore& store) {
  const absl::StatusOr<std::uint64_t> in_store = store.FreeBytes();
  if (in_store.ok() && *in_store < plan.store_bytes) {
    return base::ResourceExhausted("store {}: the job needs about {} bytes, {} are free",
                                   store.uri(), plan.store_bytes, *in_store);
  }
  const std::optional<std::uint64_t> in_output = FreeBytesAt(output);
  if (in_output.has_value() && *in_output < plan.output_bytes) {
    return base::ResourceExhausted("output {}: the checkpoint needs about {} bytes, {} are free",
                                   output, plan.output_bytes, *in_output);
  }
  return absl::OkStatus();
}

}  // namespace

v1::ModelSummary Summarize(const model::OpenedModel& model) {
  const model::ModelConfig& config = model.config;
  v1::ModelSummary summary;
  summary.set_architecture(ArchitectureName(config.architecture));
  summary.set_layers(static_cast<int>(config.num_hidden_layers));
  summary.set_parameters(model::ParameterCount(config));
  summary.set_source_bytes(static_cast<std::int64_t>(model.source_bytes));
  summary.set_sha256(model.fingerprint_sha256);
  return summary;
}

absl::StatusOr<JobPlan> ReplanJob(const v1::JobSpec& requested) {
  JobPlan plan;
  plan.spec = WithDefaults(requested);
  CALDERA_RETURN_IF_ERROR(ViolationsToStatus(CheckSpec(plan.spec)));
  const std::string& output = plan.spec.output_uri();
  CALDERA_ASSIGN_OR_RETURN(const bool taken, store::HasManifest(output));
  if (taken) {
    return base::AlreadyExists("output {} already holds a checkpoint (manifest.json)", output);
  }
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model, store::OpenModel(plan.spec.model_uri()));
  CALDERA_RETURN_IF_ERROR(model::ValidateModelTensors(model));
  CALDERA_RETURN_IF_ERROR(CheckConfigIsExtensible(model));
  CALDERA_RETURN_IF_ERROR(ViolationsToStatus(CheckSpecAgainstModel(plan.spec, model.config)));
  CALDERA_RETURN_IF_ERROR(PlanCalibration(model, &plan));
  plan.model = Summarize(model);
  plan.work = EstimateWork(model.config, plan.spec);
  CALDERA_RETURN_IF_ERROR(EstimateBytes(model, &plan));
  return plan;
}

absl::StatusOr<JobPlan> PlanJob(const v1::JobSpec& requested, const store::CheckpointStore& store) {
  CALDERA_ASSIGN_OR_RETURN(JobPlan plan, ReplanJob(requested));
  CALDERA_RETURN_IF_ERROR(CheckSpace(plan, plan.spec.output_uri(), store));
  return plan;
}

}  // namespace caldera::coordinator
