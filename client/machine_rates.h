// How fast a core is, for `caldera estimate`.
#ifndef CALDERA_CLIENT_MACHINE_RATES_H_
#define CALDERA_CLIENT_MACHINE_RATES_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/output.h"
#include "common/model/job_estimate.h"

namespace caldera::client {

// Runs a product of 1024 x 1024 matrices and each encoder for a few milliseconds on the calling
// thread. By the thread's CPU time, so that other load matters little.
model::MachineRates MeasureRates();

// {"sgemm_flops": ..., "e8p_2": ..., ...}: all fields of MachineRates, in units per second.
Json RatesToJson(const model::MachineRates& rates);

// Reads what RatesToJson gives, or an object that has it as its member "rates" (what `estimate -o
// json` prints). `name` is what errors call it. INVALID_ARGUMENT names the field that is missing,
// unknown, or no positive finite number.
absl::StatusOr<model::MachineRates> ParseRates(const std::string& text, const std::string& name);

}  // namespace caldera::client

#endif  // CALDERA_CLIENT_MACHINE_RATES_H_
