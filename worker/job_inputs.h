// What rank 0 reads for a job: the model and the calibration text, opened once and kept while
// leases of the same job keep coming.
//
// Files are read straight from this host when the model's fingerprint is the one the coordinator
// saw, otherwise through CheckpointService. Thread rule: one thread at a time.
#ifndef CALDERA_WORKER_JOB_INPUTS_H_
#define CALDERA_WORKER_JOB_INPUTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "caldera/v1/dispatch.pb.h"
#include "common/base/allowed_roots.h"
#include "common/model/calibration_text.h"
#include "common/model/model_directory.h"
#include "worker/remote_files.h"

namespace caldera::worker {

enum class Reach { kDirect, kStreamed };

class JobInputs {
 public:
  // kDirect: files of `lease` are looked for on this host first, in `roots` only. DATA_LOSS when
  // neither this host's model nor the coordinator's has the fingerprint of the lease.
  static absl::StatusOr<std::unique_ptr<JobInputs>> Open(const v1::Lease& lease, Reach reach,
                                                         CheckpointAccess access,
                                                         const base::AllowedRoots& roots = {});

  // Serves this lease's job and model?
  bool Fits(const v1::Lease& lease) const;
  const model::OpenedModel& model() const { return model_; }

  // The windows of calibration range `range` of `ranges`: a contiguous run of the drawn windows;
  // runs differ by at most one window. Tokenises the text on first use. Errors of
  // calibration_text.h.
  absl::StatusOr<std::vector<std::vector<std::int32_t>>> RangeWindows(const v1::Lease& lease,
                                                                      int range, int ranges);

 private:
  JobInputs(std::string job, model::OpenedModel model, Reach reach, CheckpointAccess access,
            const base::AllowedRoots& roots);
  absl::StatusOr<model::TokenWindows> LoadWindows(const v1::Lease& lease) const;

  const std::string job_;
  model::OpenedModel model_;
  const Reach reach_;
  const CheckpointAccess access_;
  const base::AllowedRoots roots_;
  std::unique_ptr<model::TokenWindows> windows_;
};

}  // namespace caldera::worker

#endif  // CALDERA_WORKER_JOB_INPUTS_H_
