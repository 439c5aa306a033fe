#include "common/model/job_estimate.h"

#include "common/model/size_estimate.h"
#include "common/model/work_estimate.h"

namespace caldera::model {
namespace {

// What the programs spend beside float32 products and encoders, in flops of such a product: fitted
// to `caldera decompose` of matrices from 192 x 576 to 2048 x 2048 and 1024 x 4096.
constexpr double kWideFlop = 2;         // an operation in float64
constexpr double kFactorFlop = 2.2;     // one of a Cholesky factor
constexpr double kExactSum = 1700;      // an addition of numerics/dist/exact_sum.h
constexpr double kWeightPass = 1900;    // a weight each time that it is rounded
constexpr double kWeight = 6500;        // a weight read, rotated, coded and compared
constexpr double kHessianValue = 1800;  // a value of H added up, checked, rotated
// The same, estimated: they are small beside the products.
constexpr double kActivation = 150;   // a value of norms, softmax, SiLU
constexpr double kHessianByte = 150;  // a byte of a partial Hessian written, hashed, read, added
constexpr double kTableValue = 1000;  // a value of an embedding table read and coded

// Seconds of one core.
class Clock {
 public:
  Clock(const DecompositionSettings& settings, const MachineRates& rates)
      : settings_(settings), rates_(rates) {}

  double OfFlops(double flops) const { return flops / rates_.sgemm_flops; }

  double OfMatrix(const MatrixShape& shape, int ranks) const {
    const DecompositionWork work = ExpectedDecomposition(shape, settings_);
    const double flops = work.flops + (ranks - 1) * work.replicated_flops;
    const double weights = static_cast<double>(shape.rows) * static_cast<double>(shape.columns);
    const double equivalent =
        flops + (kWideFlop - 1) * work.wide_flops + (kFactorFlop - 1) * ranks * work.factor_flops +
        kExactSum * work.exact_sums + weights * (kWeightPass * work.passes + kWeight);
    const CompressedMatrixHeader header = HeaderFor(settings_, shape);
    return OfFlops(equivalent) + work.rounded * SecondsPerWeight(header) +
           work.searched * E8pSecondsPerWeight(header) + work.factor_values / rates_.e8p_4;
  }

  double OfHessian(std::int64_t n) const {
    return OfFlops(kFactorFlop * PreparationFlops(n) +
                   kHessianValue * static_cast<double>(n) * static_cast<double>(n));
  }

 private:
  double SecondsPerWeight(const CompressedMatrixHeader& header) const {
    if (settings_.codebook == CodebookName(CodebookKind::kTrellis10)) return 1 / rates_.trellis_10;
    if (settings_.codebook == CodebookName(CodebookKind::kTrellis12)) return 1 / rates_.trellis_12;
    return E8pSecondsPerWeight(header);
  }
  double E8pSecondsPerWeight(const CompressedMatrixHeader& header) const {
    const double seconds[] = {1 / rates_.e8p_2, 1 / rates_.e8p_3, 1 / rates_.e8p_4};
    if (!header.mixed()) return seconds[header.q_bits.value() - 2];
    const auto columns = static_cast<double>(header.columns);
    const double three = static_cast<double>(header.q_columns_3) / columns;
    const double four = static_cast<double>(header.q_columns_4) / columns;
    return (1 - three - four) * seconds[0] + three * seconds[1] + four * seconds[2];
  }

  const DecompositionSettings& settings_;
  const MachineRates& rates_;
};

// CPU seconds of one task of each kind.
struct TaskSeconds {
  double range = 0;
  double layer = 0;
  double embeddings = 0;
};

TaskSeconds SecondsOf(const ModelConfig& config, const JobSettings& settings,
                      const WorkerSetup& setup, const MachineRates& rates) {
  const Clock clock(settings.decomposition, rates);
  const CalibrationWork calibration = ExpectedCalibration(config, settings);
  const double hessian_bytes = static_cast<double>(HessianBytes(config, settings.ranges));
  TaskSeconds seconds;
  seconds.range =
      clock.OfFlops(calibration.forward_flops + calibration.hessian_flops +
                    kActivation * calibration.activations + .5 * kHessianByte * hessian_bytes) /
      settings.ranges;
  seconds.layer = clock.OfFlops(.5 * kHessianByte * hessian_bytes) /
                  static_cast<double>(config.num_hidden_layers);
  for (int k = 0; k < kHessianKindCount; ++k) {
    seconds.layer +=
        setup.ranks * clock.OfHessian(HessianSize(config, static_cast<HessianKind>(k)));
  }
  for (int p = 0; p < kProjectionCount; ++p) {
    seconds.layer += clock.OfMatrix(ShapeOf(config, static_cast<Projection>(p)), setup.ranks);
  }
  const double tables = config.tie_word_embeddings ? 1 : 2;
  seconds.embeddings = clock.OfFlops(kTableValue * tables * static_cast<double>(config.vocab_size) *
                                     static_cast<double>(config.hidden_size));
  return seconds;
}

// Rounds in which `tasks` equal tasks are done.
double Rounds(std::int64_t tasks, int workers) {
  return static_cast<double>((tasks + workers - 1) / workers);
}

}  // namespace

JobNeeds EstimateNeeds(const ModelConfig& config, const JobSettings& settings,
                       const WorkerSetup& setup, const MachineRates& rates) {
  const TaskSeconds seconds = SecondsOf(config, settings, setup, rates);
  const std::int64_t layers = config.num_hidden_layers;
  JobNeeds needs;
  needs.flops = ExpectedFlops(config, settings);
  needs.cpu_seconds = settings.ranges * seconds.range +
                      static_cast<double>(layers) * seconds.layer + seconds.embeddings;
  // Layers wait for all ranges. The embeddings take one core, unnoticed where there are workers.
  needs.seconds = (Rounds(settings.ranges, setup.workers) * seconds.range +
                   Rounds(layers, setup.workers) * seconds.layer) /
                      setup.cores +
                  (setup.workers == 1 ? seconds.embeddings : 0);
  return needs;
}

}  // namespace caldera::model
