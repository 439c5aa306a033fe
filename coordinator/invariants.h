// What must hold of the coordinator's state after every transition, whatever happened. Checked in
// tests and debug builds, and usable on any ClusterState.
#ifndef CALDERA_COORDINATOR_INVARIANTS_H_
#define CALDERA_COORDINATOR_INVARIANTS_H_

#include "absl/status/status.h"
#include "coordinator/leases.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// INTERNAL naming job, task and the broken rule:
//  - a leased or lapsed task has a fence and a worker; lease ids are unique; one worker holds one
//    lease, of the incarnation and with the memory it registered with
//  - only a leased task has a rival, at another worker; no attempt is beyond the leases given
//  - a pending job has given no lease; an ended job holds none; a failed one (and only it) has an
//    error
//  - a compress task is only leased or done when its Hessians were complete (while the job runs)
//  - a done compress task has its seven matrices and a shard; done embeddings have a shard; a done
//    calibrate task has all Hessians of its range (while the job runs)
//  - matrices and Hessians are of layers and ranges that the job has
//  - a succeeded job has all tasks done and a manifest digest
//  - failures stay within the cap (unless the job failed), event numbers are not negative
//  - creation numbers and request ids are unique
absl::Status CheckInvariants(const ClusterState& state, const LeasePolicy& policy);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_INVARIANTS_H_
