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
#include "common/model/compressed_matrix.h"
#include "common/model/embedding_table.h"
#include "common/model/hf_model.h"
#include "common/model/json_object.h"
#include "common/model/local_files.h"
#include "common/model/model_tensors.h"
#include "common/model/tokenizer.h"
#include "common/store/checkpoint_reader.h"
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

std::int64_t Elements(const std::vector<model::ExpectedTensor>& tensors) {
  std::int64_t sum = 0;
  for (const model::ExpectedTensor& tensor : tensors) {
    std::int64_t product = 1;
    for (const std::int64_t dimension : tensor.shape) product *= dimension;
    sum += product;
  }
  return sum;
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
  CALDERA_ASSIGN_OR_RETURN(const std::string path, PathOfUri(calibration.uri()));
  CALDERA_ASSIGN_OR_RETURN(const std::unique_ptr<model::ByteSource> text,
                           model::FileByteSource::Open(path));
  CALDERA_ASSIGN_OR_RETURN(plan->calibration_sha256, HashSource(*text));
  CALDERA_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids,
                           model::TokenizeFile(*text, *tokenizer));
  plan->calibration_tokens = static_cast<std::int64_t>(ids.size());
  model::CalibrationOptions options;
  options.samples = calibration.samples();
  options.seq_len = calibration.seq_len();
  options.seed = calibration.seed();
  return base::WithContext(model::CalibrationWindows(ids, *tokenizer, options).status(), path);
}

std::uint64_t MatrixBytes(const model::ModelConfig& config, const v1::JobSpec& spec) {
  std::uint64_t bytes = 0;
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const model::MatrixShape shape = model::ShapeOf(config, static_cast<model::Projection>(p));
    bytes += model::StoredBytes(HeaderFor(spec.decomposition(), shape));
  }
  return bytes * static_cast<std::uint64_t>(config.num_hidden_layers);
}

std::uint64_t HessianBytes(const model::ModelConfig& config, const v1::JobSpec& spec) {
  std::int64_t floats = 0;
  for (int k = 0; k < model::kHessianKindCount; ++k) {
    const std::int64_t n = model::HessianSize(config, static_cast<model::HessianKind>(k));
    floats += n * (n + 1) / 2;
  }
  return static_cast<std::uint64_t>(4 * floats * config.num_hidden_layers *
                                    spec.calibration().ranges());
}

void EstimateBytes(const model::OpenedModel& model, JobPlan* plan) {
  const std::uint64_t matrices = MatrixBytes(model.config, plan->spec);
  const std::uint64_t others =
      model::EmbeddingBytes(model.config, base::Bits(plan->spec.embedding_bits())) +
      model::KeptBytes(model.config, *model.tensors);
  plan->output_bytes = matrices + others;
  plan->store_bytes = 2 * matrices + others + HessianBytes(model.config, plan->spec);
}

// Free bytes of the file system that `path` will lie on; nullopt where nobody knows.
std::optional<std::uint64_t> FreeBytesAt(const std::string& path) {
  std::filesystem::path existing = path;
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
  summary.set_parameters(Elements(model::NonLayerTensors(config)) +
                         config.num_hidden_layers *
                             (Elements(model::ProjectionTensors(config, 0)) +
                              Elements(model::OtherLayerTensors(config, 0))));
  summary.set_source_bytes(static_cast<std::int64_t>(model.source_bytes));
  summary.set_sha256(model.fingerprint_sha256);
  return summary;
}

absl::StatusOr<JobPlan> PlanJob(const v1::JobSpec& requested, const store::CheckpointStore& store) {
  JobPlan plan;
  plan.spec = WithDefaults(requested);
  CALDERA_RETURN_IF_ERROR(ViolationsToStatus(CheckSpec(plan.spec)));
  CALDERA_ASSIGN_OR_RETURN(const std::string output, PathOfUri(plan.spec.output_uri()));
  if (store::HasManifest(output)) {
    return base::AlreadyExists("output {} already holds a checkpoint (manifest.json)", output);
  }
  CALDERA_ASSIGN_OR_RETURN(const model::OpenedModel model, model::OpenModel(plan.spec.model_uri()));
  CALDERA_RETURN_IF_ERROR(model::ValidateModelTensors(model));
  CALDERA_RETURN_IF_ERROR(CheckConfigIsExtensible(model));
  CALDERA_RETURN_IF_ERROR(ViolationsToStatus(CheckSpecAgainstModel(plan.spec, model.config)));
  CALDERA_RETURN_IF_ERROR(PlanCalibration(model, &plan));
  plan.model = Summarize(model);
  plan.work = EstimateWork(model.config, plan.spec);
  EstimateBytes(model, &plan);
  CALDERA_RETURN_IF_ERROR(CheckSpace(plan, output, store));
  return plan;
}

}  // namespace caldera::coordinator
