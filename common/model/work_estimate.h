// How much arithmetic a job is, from shapes and settings alone.
//
// The steps are those of numerics/decompose and numerics/llama (docs/algorithms.md, "Recipes"),
// counted as DecomposeResult::local_flops counts them: a test holds the two within 10 % of each
// other. They stand here and not beside the steps because the coordinator, which may not know the
// mathematics, needs them too. Pure functions.
#ifndef CALDERA_COMMON_MODEL_WORK_ESTIMATE_H_
#define CALDERA_COMMON_MODEL_WORK_ESTIMATE_H_

#include <cstdint>

#include "common/model/job_settings.h"
#include "common/model/model_config.h"

namespace caldera::model {

// One decomposition. A multiplication and an addition count 2 flops.
struct DecompositionWork {
  double flops = 0;             // on one rank, all of the following included
  double wide_flops = 0;        // in float64, most of it r x r problems
  double factor_flops = 0;      // in Cholesky factors of n x n matrices
  double replicated_flops = 0;  // executed by every rank when there are more
  double rounded = 0;           // weights put through the encoder of the job's codebook
  double searched = 0;          // and through E8P at the same bits, where that searches for it
  double factor_values = 0;     // values of L and R put through the 4-bit E8P encoder
  double exact_sums = 0;        // additions of numerics/dist/exact_sum.h
  int passes = 0;               // times that all weights are rounded
  int iterates = 0;             // times that the codes are decoded and their error is taken
};
// Splits of the rank that are tried beside 4-bit factors, as a rule. The matrix decides: two at
// least, and more while the error falls.
inline constexpr int kUsualTrials = 3;

// Of an m x n matrix, with at most `trials` splits of its rank, of which the one before the last
// goes on. Preconditions: settings with defaults, without violations; trials >= 2.
DecompositionWork ExpectedDecomposition(const MatrixShape& shape,
                                        const DecompositionSettings& settings,
                                        int trials = kUsualTrials);

// Calibration of all layers with all windows.
struct CalibrationWork {
  double forward_flops = 0;
  double hessian_flops = 0;
  double activations = 0;  // values that the blocks compute beside products: norms, softmax, SiLU
};
CalibrationWork ExpectedCalibration(const ModelConfig& config, const JobSettings& settings);

// Of preparing one n x n Hessian.
double PreparationFlops(std::int64_t n);

// Everything that a job executes on workers of one rank.
double ExpectedFlops(const ModelConfig& config, const JobSettings& settings);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_WORK_ESTIMATE_H_
