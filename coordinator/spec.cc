#include "coordinator/spec.h"

#include <algorithm>

#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/store/open_files.h"

namespace caldera::coordinator {
namespace {

std::string KeptUri(const std::string& uri, store::UriUse use) {
  return store::NormalUri(uri, use).value_or(uri);
}

void CheckUri(const std::string& field, const std::string& uri, store::UriUse use,
              std::vector<FieldViolation>* violations) {
  if (uri.empty()) {
    violations->push_back({field, "is required"});
  } else if (const auto normal = store::NormalUri(uri, use); !normal.ok()) {
    violations->push_back({field, base::MessageOf(normal.status())});
  }
}

void Append(const std::vector<model::SettingViolation>& from, std::vector<FieldViolation>* to) {
  for (const auto& [field, description] : from) to->push_back({field, description});
}

model::DecompositionSettings SettingsOf(const v1::Decomposition& decomposition) {
  return {
      decomposition.recipe(),     decomposition.codebook(),    decomposition.q_bits(),
      decomposition.rank(),       decomposition.l_bits(),      decomposition.r_bits(),
      decomposition.iterations(), decomposition.target_bits(), decomposition.target_bits_include()};
}

}  // namespace

v1::JobSpec WithDefaults(v1::JobSpec spec) {
  spec.set_model_uri(KeptUri(spec.model_uri(), store::UriUse::kRead));
  spec.set_output_uri(KeptUri(spec.output_uri(), store::UriUse::kPublish));
  const model::JobSettings settings = model::WithDefaults(SettingsOf(spec));
  v1::Calibration* calibration = spec.mutable_calibration();
  calibration->set_uri(KeptUri(calibration->uri(), store::UriUse::kRead));
  calibration->set_samples(settings.samples);
  calibration->set_seq_len(settings.seq_len);
  calibration->set_ranges(settings.ranges);
  v1::Decomposition* decomposition = spec.mutable_decomposition();
  decomposition->set_recipe(settings.decomposition.recipe);
  decomposition->set_codebook(settings.decomposition.codebook);
  decomposition->set_q_bits(settings.decomposition.q_bits);
  decomposition->set_l_bits(settings.decomposition.l_bits);
  decomposition->set_r_bits(settings.decomposition.r_bits);
  spec.set_embedding_bits(settings.embedding_bits);
  return spec;
}

model::JobSettings SettingsOf(const v1::JobSpec& spec) {
  const v1::Calibration& calibration = spec.calibration();
  return {calibration.samples(), calibration.seq_len(), calibration.ranges(),
          SettingsOf(spec.decomposition()), spec.embedding_bits()};
}

model::CompressedMatrixHeader HeaderFor(const v1::Decomposition& decomposition,
                                        const model::MatrixShape& shape) {
  return model::HeaderFor(SettingsOf(decomposition), shape);
}

std::vector<FieldViolation> CheckSpec(const v1::JobSpec& spec) {
  std::vector<FieldViolation> violations;
  CheckUri("model_uri", spec.model_uri(), store::UriUse::kRead, &violations);
  CheckUri("output_uri", spec.output_uri(), store::UriUse::kPublish, &violations);
  CheckUri("calibration.uri", spec.calibration().uri(), store::UriUse::kRead, &violations);
  Append(model::CheckSettings(SettingsOf(spec)), &violations);
  return violations;
}

std::vector<FieldViolation> CheckSpecAgainstModel(const v1::JobSpec& spec,
                                                  const model::ModelConfig& config) {
  std::vector<FieldViolation> violations;
  Append(model::CheckSettingsAgainstModel(SettingsOf(spec), config), &violations);
  return violations;
}

absl::Status CheckJobId(const std::string& job_id) {
  const bool valid = !job_id.empty() && job_id.size() <= 63 &&
                     std::all_of(job_id.begin(), job_id.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                     });
  if (valid) return absl::OkStatus();
  return ViolationsToStatus({{"job_id", fmt::format("\"{}\" is not [a-z0-9-]{{1,63}}", job_id)}});
}

absl::Status CheckUuid(const std::string& text, const std::string& field) {
  if (base::IsUuid(text)) return absl::OkStatus();
  return ViolationsToStatus({{field, fmt::format("\"{}\" is not a UUID4", text)}});
}

}  // namespace caldera::coordinator
