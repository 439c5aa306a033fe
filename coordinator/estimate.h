// What a job would give and need, for CompressionService.Estimate.
#ifndef CALDERA_COORDINATOR_ESTIMATE_H_
#define CALDERA_COORDINATOR_ESTIMATE_H_

#include "absl/status/statusor.h"
#include "caldera/v1/compression.pb.h"
#include "common/base/allowed_roots.h"
#include "common/model/job_estimate.h"
#include "coordinator/leases.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Those who would share the work now: workers alive at `now`, each with as many cores (threads of
// all its ranks) as the smallest has; one of one core when there is none.
model::WorkerSetup SetupOf(const ClusterState& state, const LeasePolicy& policy, absl::Time now);

// `usual` takes the place of what request.setup leaves open. Opens the model by its headers: call
// it outside locks. PERMISSION_DENIED for a model outside `roots`, INVALID_ARGUMENT with field
// violations for settings, rates and setup; NOT_FOUND, UNIMPLEMENTED as planner.h has them for the
// model.
absl::StatusOr<v1::EstimateResponse> Estimate(const v1::EstimateRequest& request,
                                              const model::WorkerSetup& usual,
                                              const base::AllowedRoots& roots);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_ESTIMATE_H_
