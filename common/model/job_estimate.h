// What a job will need: time and memory, from shapes, settings and the speed of a machine.
//
// A model of the programs, not a promise: docs/operations.md ("Before a job") says how near it was
// to real runs. Pure functions; whoever calls measures the rates.
#ifndef CALDERA_COMMON_MODEL_JOB_ESTIMATE_H_
#define CALDERA_COMMON_MODEL_JOB_ESTIMATE_H_

#include <cstdint>

#include "common/model/job_settings.h"
#include "common/model/model_config.h"

namespace caldera::model {

// Of one core.
struct MachineRates {
  double sgemm_flops = 0;  // float32 products, flops per second
  // Encoders, weights per second.
  double e8p_2 = 0;  // at 2, 3 and 4 bits
  double e8p_3 = 0;
  double e8p_4 = 0;
  double trellis_10 = 0;  // at any bits
  double trellis_12 = 0;
};

// Workers that share a job.
struct WorkerSetup {
  int workers = 1;
  int ranks = 1;  // of each worker
  int cores = 1;  // of each worker, shared by its ranks
};

struct JobNeeds {
  double flops = 0;        // on one rank per worker, as ExpectedFlops
  double cpu_seconds = 0;  // of all workers' cores together
  double seconds = 0;      // on cores that do nothing else
};
// Precondition: settings with defaults, without violations; rates and counts > 0.
JobNeeds EstimateNeeds(const ModelConfig& config, const JobSettings& settings,
                       const WorkerSetup& setup, const MachineRates& rates);

// Most resident memory of a worker's first rank, in bytes: the task that needs most, on top of what
// the program itself takes. The calibration text, which rank 0 holds too, is not known here.
std::uint64_t EstimatePeakMemory(const ModelConfig& config, const JobSettings& settings,
                                 const WorkerSetup& setup);

}  // namespace caldera::model

#endif  // CALDERA_COMMON_MODEL_JOB_ESTIMATE_H_
