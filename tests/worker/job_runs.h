// Whole tasks on a number of ranks, and what they committed: for the tests of calibrate and
// compress.
#ifndef CALDERA_TESTS_WORKER_JOB_RUNS_H_
#define CALDERA_TESTS_WORKER_JOB_RUNS_H_

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/status.h"
#include "tests/worker/job_fixture.h"
#include "worker/calibrate_job.h"
#include "worker/compress_job.h"

namespace caldera::worker {

inline v1::Lease CalibrateLease(const JobFixture& fixture, int range) {
  v1::Lease lease = fixture.MakeLease();
  lease.mutable_task()->mutable_calibrate()->set_range(range);
  lease.mutable_task()->mutable_calibrate()->set_ranges(2);
  return lease;
}

// Both ranges, one after the other.
inline void Calibrate(JobFixture& fixture, int ranks) {
  for (const int range : {0, 1}) {
    for (const absl::Status& status :
         fixture.Run(CalibrateLease(fixture, range), ranks, RunCalibrate)) {
      Must(status);
    }
  }
}

// The compress task of a layer, with all partial Hessians committed so far, in the order they came.
inline v1::Lease CompressLease(const JobFixture& fixture, int layer,
                               const std::vector<v1::CommitHessiansRequest>& commits) {
  v1::Lease lease = fixture.MakeLease();
  lease.set_lease_id("compress-" + std::to_string(layer));
  v1::CompressTask& task = *lease.mutable_task()->mutable_compress();
  task.set_layer(layer);
  for (const v1::CommitHessiansRequest& commit : commits) {
    for (const v1::HessianRef& hessian : commit.hessians()) {
      if (hessian.layer() == layer) *task.add_hessians() = hessian;
    }
  }
  return lease;
}

// Digest of each partial Hessian by (layer, range, kind).
using HessianObjects = std::map<std::tuple<int, int, std::string>, std::string>;
inline HessianObjects CommittedHessians(const JobFixture& fixture) {
  HessianObjects objects;
  for (const v1::CommitHessiansRequest& commit : fixture.dispatch().hessians()) {
    for (const v1::HessianRef& hessian : commit.hessians()) {
      objects[{hessian.layer(), hessian.range(), hessian.kind()}] = hessian.object().sha256();
    }
  }
  return objects;
}

// Digest of each matrix by "lease projection".
using MatrixObjects = std::map<std::string, std::string>;
inline MatrixObjects CommittedMatrices(const JobFixture& fixture) {
  MatrixObjects objects;
  for (const v1::CommitMatrixRequest& commit : fixture.dispatch().matrices()) {
    objects[commit.lease_id() + " " + commit.matrix().projection()] =
        commit.matrix().object().sha256();
  }
  return objects;
}

}  // namespace caldera::worker

#endif  // CALDERA_TESTS_WORKER_JOB_RUNS_H_
