// Receipts beside the objects: written as things become durable, read by `recover`. JSON of the
// messages of receipts.proto under receipts/{job}/.
#ifndef CALDERA_COORDINATOR_RECEIPTS_H_
#define CALDERA_COORDINATOR_RECEIPTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/log.h"
#include "common/store/checkpoint_store.h"
#include "coordinator/job_graph.h"
#include "coordinator/records.h"

namespace caldera::coordinator {

// Methods may be called from several threads. The database holds what happened: a receipt that
// cannot be written is logged and only weakens a later recovery.
class Receipts {
 public:
  // `store` is borrowed.
  Receipts(store::CheckpointStore* store, base::Logger log) : store_(store), log_(std::move(log)) {}

  void WriteJob(const JobRecord& job, const WorkEstimate& work) const;
  void WriteMatrix(const base::JobId& job, int layer, const MatrixRecord& matrix) const;
  // All of one layer and range.
  void WriteHessians(const base::JobId& job, const std::vector<v1::HessianRef>& hessians) const;
  void Remove(const base::JobId& job) const;

 private:
  void Write(const std::string& key, const google::protobuf::Message& message) const;

  store::CheckpointStore* const store_;
  const base::Logger log_;
};

// A job as its receipts tell it: PENDING, with the tasks of its graph; calibration tasks whose
// Hessians are all there are done, the others pending. Receipts of objects that the store does not
// have are left out.
struct ReceivedJobs {
  std::vector<JobState> jobs;                 // by id
  std::map<std::string, std::string> broken;  // job id -> why it cannot be told
};
// Errors: those of listing the store.
absl::StatusOr<ReceivedJobs> ReadReceipts(const store::CheckpointStore& store);

}  // namespace caldera::coordinator

#endif  // CALDERA_COORDINATOR_RECEIPTS_H_
