#include "coordinator/spec.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/model/compressed_matrix.h"
#include "common/model/recipe.h"
#include "common/store/keys.h"

namespace caldera::coordinator {
namespace {

constexpr int kMaxIterations = 1000;
constexpr int kMaxSamples = 1 << 20;
constexpr int kMaxSeqLen = 1 << 17;
constexpr int kMaxRanges = 4096;
constexpr int kMaxRank = 1 << 16;

std::string NormalUri(const std::string& uri) {
  const absl::StatusOr<std::string> path = PathOfUri(uri);
  return path.ok() ? store::FileUriOfPath(*path) : uri;
}

class Checker {
 public:
  void OneOf(const std::string& field, int value, std::initializer_list<int> allowed) {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
    std::string list;
    for (int candidate : allowed) list += (list.empty() ? "" : ", ") + std::to_string(candidate);
    Add(field, fmt::format("{} is not one of {}", value, list));
  }

  void InRange(const std::string& field, int value, int low, int high) {
    if (value >= low && value <= high) return;
    Add(field, fmt::format("{} is outside {}..{}", value, low, high));
  }

  void Uri(const std::string& field, const std::string& uri) {
    if (uri.empty()) {
      Add(field, "is required");
    } else if (const auto path = PathOfUri(uri); !path.ok()) {
      Add(field, base::MessageOf(path.status()));
    }
  }

  void Add(const std::string& field, const std::string& description) {
    violations_.push_back({field, description});
  }

  std::vector<FieldViolation> Take() { return std::move(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

void CheckCalibration(const v1::Calibration& calibration, Checker* check) {
  check->Uri("calibration.uri", calibration.uri());
  check->InRange("calibration.samples", calibration.samples(), 1, kMaxSamples);
  check->InRange("calibration.seq_len", calibration.seq_len(), 2, kMaxSeqLen);
  check->InRange("calibration.ranges", calibration.ranges(), 1, kMaxRanges);
  if (calibration.ranges() > calibration.samples()) {
    check->Add("calibration.ranges", fmt::format("{} ranges need at least as many samples, not {}",
                                                 calibration.ranges(), calibration.samples()));
  }
}

void CheckDecomposition(const v1::Decomposition& decomposition, Checker* check) {
  const auto recipe = model::ParseRecipe(decomposition.recipe());
  if (!recipe.ok()) check->Add("decomposition.recipe", base::MessageOf(recipe.status()));
  if (recipe.ok() && *recipe == model::RecipeKind::kPublished &&
      (decomposition.codebook() != model::CodebookName(model::CodebookKind::kE8P) ||
       decomposition.q_bits() != std::floor(decomposition.q_bits()))) {
    check->Add("decomposition.recipe",
               "the published recipe needs the codebook e8p and whole q_bits");
  }
  if (const auto kind = model::ParseCodebook(decomposition.codebook()); !kind.ok()) {
    check->Add("decomposition.codebook", base::MessageOf(kind.status()));
  }
  if (!(decomposition.q_bits() >= 2 && decomposition.q_bits() <= 4)) {
    check->Add("decomposition.q_bits",
               fmt::format("{} is not within 2 and 4", decomposition.q_bits()));
  }
  check->OneOf("decomposition.l_bits", decomposition.l_bits(), {4, 8, 16});
  check->OneOf("decomposition.r_bits", decomposition.r_bits(), {4, 8, 16});
  check->InRange("decomposition.rank", decomposition.rank(), 0, kMaxRank);
  check->InRange("decomposition.iterations", decomposition.iterations(), 0, kMaxIterations);
}

}  // namespace

v1::JobSpec WithDefaults(v1::JobSpec spec) {
  auto set_if_zero = [](int value, int fallback) { return value == 0 ? fallback : value; };
  spec.set_model_uri(NormalUri(spec.model_uri()));
  spec.set_output_uri(NormalUri(spec.output_uri()));
  v1::Calibration* calibration = spec.mutable_calibration();
  calibration->set_uri(NormalUri(calibration->uri()));
  calibration->set_samples(set_if_zero(calibration->samples(), 128));
  calibration->set_seq_len(set_if_zero(calibration->seq_len(), 512));
  if (calibration->ranges() == 0) {
    calibration->set_ranges(std::clamp(calibration->samples(), 1, 4));
  }
  v1::Decomposition* decomposition = spec.mutable_decomposition();
  if (decomposition->q_bits() == 0) decomposition->set_q_bits(2);
  decomposition->set_l_bits(set_if_zero(decomposition->l_bits(), 4));
  decomposition->set_r_bits(set_if_zero(decomposition->r_bits(), decomposition->l_bits()));
  const auto recipe = model::ParseRecipe(decomposition->recipe());
  if (recipe.ok()) decomposition->set_recipe(std::string(model::RecipeName(*recipe)));
  decomposition->set_codebook(model::ResolveCodebook(
      decomposition->codebook(), recipe.value_or(model::RecipeKind::kDefault),
      decomposition->rank(), base::Bits(decomposition->l_bits()),
      base::Bits(decomposition->r_bits())));
  spec.set_embedding_bits(set_if_zero(spec.embedding_bits(), 8));
  return spec;
}

model::CompressedMatrixHeader HeaderFor(const v1::Decomposition& decomposition,
                                        const model::MatrixShape& shape) {
  model::CompressedMatrixHeader header;
  header.rows = shape.rows;
  header.columns = shape.columns;
  header.rank = decomposition.rank();
  model::SetQBits(decomposition.q_bits(), &header);
  header.l_bits = base::Bits(decomposition.l_bits());
  header.r_bits = base::Bits(decomposition.r_bits());
  if (decomposition.recipe() == model::RecipeName(model::RecipeKind::kPublished)) {
    header.axis = model::CodewordAxis::kColumns;
  }
  return header;
}

std::vector<FieldViolation> CheckSpec(const v1::JobSpec& spec) {
  Checker check;
  check.Uri("model_uri", spec.model_uri());
  check.Uri("output_uri", spec.output_uri());
  CheckCalibration(spec.calibration(), &check);
  CheckDecomposition(spec.decomposition(), &check);
  check.OneOf("embedding_bits", spec.embedding_bits(), {4, 8, 16});
  return check.Take();
}

std::vector<FieldViolation> CheckSpecAgainstModel(const v1::JobSpec& spec,
                                                  const model::ModelConfig& config) {
  const int rank = spec.decomposition().rank();
  if (rank == 0) return {};
  for (int p = 0; p < model::kProjectionCount; ++p) {
    const auto projection = static_cast<model::Projection>(p);
    const model::MatrixShape shape = model::ShapeOf(config, projection);
    const std::int64_t limit = std::min(shape.rows, shape.columns);
    if (rank < limit) continue;
    return {{"decomposition.rank",
             fmt::format("{} must be below min(m, n) = {} of {} ({} x {})", rank, limit,
                         model::ProjectionPath(projection), shape.rows, shape.columns)}};
  }
  return {};
}

absl::StatusOr<std::string> PathOfUri(const std::string& uri) {
  for (const char c : uri) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return base::InvalidArgument("the path contains a control character");
    }
  }
  return store::PathOfFileUri(uri);
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
