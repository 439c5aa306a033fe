#include "common/model/job_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "common/base/status.h"
#include "common/model/recipe.h"

namespace caldera::model {
namespace {

constexpr int kMaxIterations = 1000;
constexpr int kMaxSamples = 1 << 20;
constexpr int kMaxSeqLen = 1 << 17;
constexpr int kMaxRanges = 4096;
constexpr int kMaxRank = 1 << 16;
constexpr double kMaxTargetBits = 16;

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

  void Add(const std::string& field, const std::string& description) {
    violations_.push_back({field, description});
  }

  std::vector<SettingViolation> Take() { return std::move(violations_); }

 private:
  std::vector<SettingViolation> violations_;
};

void CheckCalibration(const JobSettings& settings, Checker* check) {
  check->InRange("calibration.samples", settings.samples, 1, kMaxSamples);
  check->InRange("calibration.seq_len", settings.seq_len, 2, kMaxSeqLen);
  check->InRange("calibration.ranges", settings.ranges, 1, kMaxRanges);
  if (settings.ranges > settings.samples) {
    check->Add("calibration.ranges", fmt::format("{} ranges need at least as many samples, not {}",
                                                 settings.ranges, settings.samples));
  }
}

void CheckTarget(const DecompositionSettings& settings, Checker* check) {
  if (!(settings.target_bits >= 2 && settings.target_bits <= kMaxTargetBits)) {
    check->Add("decomposition.target_bits",
               fmt::format("{} is not within 2 and {}", settings.target_bits, kMaxTargetBits));
  }
  if (settings.q_bits != 0) {
    check->Add("decomposition.q_bits", "is chosen for each matrix when there are target_bits");
  }
  if (settings.recipe == RecipeName(RecipeKind::kPublished)) {
    check->Add("decomposition.target_bits", "the published recipe needs q_bits");
  }
  const std::string& include = settings.target_bits_include;
  if (!include.empty() && include != kIncludeEmbeddings) {
    check->Add("decomposition.target_bits_include",
               fmt::format("\"{}\" is neither empty nor {}", include, kIncludeEmbeddings));
  }
}

void CheckDecomposition(const DecompositionSettings& settings, Checker* check) {
  const auto recipe = ParseRecipe(settings.recipe);
  if (!recipe.ok()) check->Add("decomposition.recipe", base::MessageOf(recipe.status()));
  if (recipe.ok() && *recipe == RecipeKind::kPublished &&
      (settings.codebook != CodebookName(CodebookKind::kE8P) ||
       settings.q_bits != std::floor(settings.q_bits))) {
    check->Add("decomposition.recipe",
               "the published recipe needs the codebook e8p and whole q_bits");
  }
  if (const auto kind = ParseCodebook(settings.codebook); !kind.ok()) {
    check->Add("decomposition.codebook", base::MessageOf(kind.status()));
  }
  if (settings.target_bits != 0 || !settings.target_bits_include.empty()) {
    CheckTarget(settings, check);
  } else if (!(settings.q_bits >= 2 && settings.q_bits <= 4)) {
    check->Add("decomposition.q_bits", fmt::format("{} is not within 2 and 4", settings.q_bits));
  }
  check->OneOf("decomposition.l_bits", settings.l_bits, {4, 8, 16});
  check->OneOf("decomposition.r_bits", settings.r_bits, {4, 8, 16});
  check->InRange("decomposition.rank", settings.rank, 0, kMaxRank);
  check->InRange("decomposition.iterations", settings.iterations, 0, kMaxIterations);
}

}  // namespace

JobSettings WithDefaults(JobSettings settings) {
  auto set_if_zero = [](std::int32_t& value, std::int32_t fallback) {
    if (value == 0) value = fallback;
  };
  set_if_zero(settings.samples, 128);
  set_if_zero(settings.seq_len, 512);
  set_if_zero(settings.ranges, std::clamp(settings.samples, 1, 4));
  DecompositionSettings& decomposition = settings.decomposition;
  if (decomposition.q_bits == 0 && decomposition.target_bits == 0) decomposition.q_bits = 2;
  set_if_zero(decomposition.l_bits, 4);
  set_if_zero(decomposition.r_bits, decomposition.l_bits);
  const auto recipe = ParseRecipe(decomposition.recipe);
  if (recipe.ok()) decomposition.recipe = std::string(RecipeName(*recipe));
  decomposition.codebook =
      ResolveCodebook(decomposition.codebook, recipe.value_or(RecipeKind::kDefault));
  set_if_zero(settings.embedding_bits, 8);
  return settings;
}

std::vector<SettingViolation> CheckSettings(const JobSettings& settings) {
  Checker check;
  CheckCalibration(settings, &check);
  CheckDecomposition(settings.decomposition, &check);
  check.OneOf("embedding_bits", settings.embedding_bits, {4, 8, 16});
  return check.Take();
}

std::vector<SettingViolation> CheckSettingsAgainstModel(const JobSettings& settings,
                                                        const ModelConfig& config) {
  const int rank = settings.decomposition.rank;
  if (rank == 0) return {};
  for (int p = 0; p < kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    const MatrixShape shape = ShapeOf(config, projection);
    const std::int64_t limit = std::min(shape.rows, shape.columns);
    if (rank < limit) continue;
    return {{"decomposition.rank",
             fmt::format("{} must be below min(m, n) = {} of {} ({} x {})", rank, limit,
                         ProjectionPath(projection), shape.rows, shape.columns)}};
  }
  return {};
}

CompressedMatrixHeader HeaderFor(const DecompositionSettings& settings, const MatrixShape& shape) {
  CompressedMatrixHeader header;
  header.rows = shape.rows;
  header.columns = shape.columns;
  header.rank = settings.rank;
  SetQBits(settings.q_bits, &header);
  header.l_bits = base::Bits(settings.l_bits);
  header.r_bits = base::Bits(settings.r_bits);
  if (settings.recipe == RecipeName(RecipeKind::kPublished)) header.axis = CodewordAxis::kColumns;
  return header;
}

}  // namespace caldera::model
