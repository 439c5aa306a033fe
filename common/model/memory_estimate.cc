// EstimatePeakMemory of job_estimate.h: the buffers that are alive at once in the tasks of a
// worker.
#include <algorithm>
#include <cmath>

#include "common/model/job_estimate.h"
#include "common/model/recipe.h"

namespace caldera::model {
namespace {

constexpr double kFloat = 4;
constexpr double kMebibyte = 1 << 20;
// Program, libraries, gRPC; then what each thread keeps.
constexpr double kProgram = 45 * kMebibyte;
constexpr double kThread = 4 * kMebibyte;
constexpr double kPiece = 16 * kMebibyte;  // of a table, in float32
constexpr double kToken = 500;             // of the vocabulary in the tokenizer

double Packed(std::int64_t n) {
  return kFloat * static_cast<double>(n) * static_cast<double>(n + 1) / 2;
}

double Full(std::int64_t n) { return kFloat * static_cast<double>(n) * static_cast<double>(n); }

double Elements(const MatrixShape& shape) {
  return static_cast<double>(shape.rows) * static_cast<double>(shape.columns);
}

// Weights of a layer in float32, hidden states of a range, and either what a batch of windows
// computes beside the Hessians or these being written.
double CalibrationBytes(const ModelConfig& config, const JobSettings& settings,
                        const WorkerSetup& setup) {
  double weights = 0;
  for (int p = 0; p < kProjectionCount; ++p) {
    weights += Elements(ShapeOf(config, static_cast<Projection>(p)));
  }
  double packed = 0;
  double largest = 0;
  double kept_width = 0;
  double widest = 0;
  for (int k = 0; k < kHessianKindCount; ++k) {
    const std::int64_t n = HessianSize(config, static_cast<HessianKind>(k));
    packed += Packed(n);
    largest = std::max(largest, Packed(n));
    kept_width += static_cast<double>(n);
    widest = std::max(widest, static_cast<double>(n));
  }
  const double windows = std::ceil(static_cast<double>(settings.samples) / settings.ranges);
  const double share = std::ceil(windows / setup.ranks);
  const double threads = std::max(1.0, static_cast<double>(setup.cores) / setup.ranks);
  const double window = kFloat * settings.seq_len;
  const double batch = std::min(2 * threads, share);
  const auto hidden = static_cast<double>(config.hidden_size);
  const double running =
      static_cast<double>((config.num_attention_heads + 2 * config.num_key_value_heads) *
                              config.head_dim +
                          config.intermediate_size) +
      128;
  const double gathered = setup.ranks > 1 ? (setup.ranks + 1) * batch * window * widest : 0;
  const double computing = packed / setup.ranks + batch * window * kept_width +
                           std::min(threads, share) * window * running + gathered;
  const double writing = packed + 2 * largest;
  return share * window * hidden + kFloat * weights + std::max(computing, writing);
}

// Copies of a rank's rows that are alive when the error of an iterate is taken, and when Q is
// rounded beside a downdated factor.
struct Copies {
  double measuring;
  double rounding;
  double downdated;  // n x n matrices
};
Copies CopiesOf(const DecompositionSettings& settings) {
  const int finest = std::min(settings.l_bits, settings.r_bits);
  if (settings.rank == 0) return {7, 5, 0};
  const bool published = settings.recipe == RecipeName(RecipeKind::kPublished);
  if (published) return {9, 7, finest == 16 ? 2.0 : 0.0};
  return finest == 4 ? Copies{11, 7, 1} : Copies{9, 7, 1};
}

double CompressionBytes(const ModelConfig& config, const JobSettings& settings,
                        const WorkerSetup& setup) {
  constexpr double kHeld = 3;  // H as given, rotated, factor
  const Copies copies = CopiesOf(settings.decomposition);
  double most = 0;
  for (int p = 0; p < kProjectionCount; ++p) {
    const auto projection = static_cast<Projection>(p);
    const MatrixShape shape = ShapeOf(config, projection);
    const std::int64_t n = shape.columns;
    const double rows = kFloat * Elements(shape) / setup.ranks;
    const double codes = 3 * Elements(shape) / 2 / setup.ranks;
    const double factors = 8 * kFloat * settings.decomposition.rank *
                           static_cast<double>(shape.rows / setup.ranks + n);
    const double loading = (settings.ranges + 1) * Packed(n) + Full(n);
    const double measuring = kHeld * Full(n) + copies.measuring * rows;
    const double rounding = (kHeld + copies.downdated) * Full(n) + copies.rounding * rows;
    most = std::max({most, loading, std::max(measuring, rounding) + codes + factors});
  }
  return most;
}

// Coded tables are held and copied into the shard's order; plain ones are held.
double EmbeddingTaskBytes(const ModelConfig& config, const JobSettings& settings) {
  const double values =
      static_cast<double>(config.vocab_size) * static_cast<double>(config.hidden_size);
  const double tables = config.tie_word_embeddings ? 1 : 2;
  const double bytes = values * settings.embedding_bits / 8;
  return (tables + (settings.embedding_bits < 16 ? 1 : 0)) * bytes + kPiece;
}

}  // namespace

std::uint64_t EstimatePeakMemory(const ModelConfig& config, const JobSettings& settings,
                                 const WorkerSetup& setup) {
  const double threads = std::max(1.0, static_cast<double>(setup.cores) / setup.ranks);
  const double program =
      kProgram + kThread * threads + kToken * static_cast<double>(config.vocab_size);
  const double task =
      std::max({CalibrationBytes(config, settings, setup),
                CompressionBytes(config, settings, setup), EmbeddingTaskBytes(config, settings)});
  return static_cast<std::uint64_t>(program + task);
}

}  // namespace caldera::model
