// A worker of a Cluster that does what a test says, with real (noise) matrices.
#ifndef CALDERA_TESTS_COORDINATOR_SCRIPTED_WORKER_H_
#define CALDERA_TESTS_COORDINATOR_SCRIPTED_WORKER_H_

#include <algorithm>
#include <string>
#include <utility>

#include "common/rpc/status_conversion.h"
#include "coordinator/allocation.h"
#include "tests/coordinator/cluster_fixture.h"

namespace caldera::coordinator {

// Does tasks as a worker would, one call at a time.
class ScriptedWorker {
 public:
  ScriptedWorker(Cluster* cluster, std::string id, std::string incarnation = "first")
      : cluster_(cluster), id_(std::move(id)), incarnation_(std::move(incarnation)) {
    Register();
  }

  void Register(std::int64_t memory_bytes = 0) {
    v1::RegisterRequest request;
    request.set_worker_id(id_);
    request.set_incarnation(incarnation_);
    request.set_version("test");
    request.set_ranks(1);
    request.set_threads_per_rank(2);
    request.set_host("test-host");
    request.set_memory_bytes(memory_bytes);
    Must(cluster_->coordinator().Register(request));
  }

  absl::Status Unregister() {
    v1::UnregisterRequest request;
    request.set_worker_id(id_);
    request.set_incarnation(incarnation_);
    return cluster_->coordinator().Unregister(request);
  }

  v1::AcquireLeaseRequest WaitingFor(int seconds) const {
    v1::AcquireLeaseRequest request;
    request.set_worker_id(id_);
    request.set_incarnation(incarnation_);
    request.set_wait_seconds(seconds);
    return request;
  }
  absl::StatusOr<v1::AcquireLeaseResponse> Acquire() {
    absl::StatusOr<v1::AcquireLeaseResponse> result = absl::UnknownError("no answer");
    cluster_->coordinator().AcquireLease(
        WaitingFor(0), [&result](absl::StatusOr<v1::AcquireLeaseResponse> response) {
          result = std::move(response);
        });
    return result;
  }
  v1::Lease Lease() { return Must(Acquire()).lease(); }

  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::Lease& lease, std::int64_t progress) {
    v1::HeartbeatRequest request;
    request.set_worker_id(id_);
    request.set_incarnation(incarnation_);
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    request.set_progress(progress);
    return cluster_->coordinator().Heartbeat(request);
  }

  absl::StatusOr<v1::CommitMatrixResponse> CommitMatrix(const v1::Lease& lease, int projection,
                                                        unsigned seed = 5) {
    const v1::CompressTask& task = lease.task().compress();
    const int layer = task.layer();
    const double q_bits = task.q_bits().empty() ? 2 : task.q_bits(projection);
    const auto object = MatrixObject(layer, projection, seed, q_bits);
    v1::CommitMatrixRequest request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    *request.mutable_matrix() =
        TinyMatrix(layer, projection, StoreBytes(object, &cluster_->store()));
    return cluster_->coordinator().CommitMatrix(request);
  }

  absl::Status CommitHessians(const v1::Lease& lease, int layer) {
    v1::CommitHessiansRequest request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    for (int k = 0; k < model::kHessianKindCount; ++k) {
      const unsigned seed = static_cast<unsigned>(100 * layer + 10 * k) +
                            static_cast<unsigned>(lease.task().calibrate().range());
      v1::HessianRef* hessian = request.add_hessians();
      hessian->set_layer(layer);
      hessian->set_range(lease.task().calibrate().range());
      hessian->set_kind(model::HessianKindName(static_cast<model::HessianKind>(k)));
      *hessian->mutable_object() = StoreBytes(FloatBytes(10, seed), &cluster_->store());
    }
    return cluster_->coordinator().CommitHessians(request);
  }

  absl::Status Complete(const v1::Lease& lease) {
    v1::CompleteLeaseRequest request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    request.add_rank_flops(1e6);
    if (lease.task().has_embeddings()) {
      *request.mutable_shard() = StoreBytes(EmbeddingsObject(), &cluster_->store());
    }
    if (lease.task().has_probe()) AddProbes(lease.task().probe(), &request);
    return cluster_->coordinator().CompleteLease(request);
  }

  absl::Status Fail(const v1::Lease& lease, const absl::Status& error) {
    v1::FailLeaseRequest request;
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    *request.mutable_error() = rpc::ToProto(error);
    return cluster_->coordinator().FailLease(request);
  }

  // Every matrix matters alike.
  static void AddProbes(const v1::ProbeTask& task, v1::CompleteLeaseRequest* request) {
    for (int layer = task.first_layer(); layer < task.last_layer(); ++layer) {
      for (int p = 0; p < model::kProjectionCount; ++p) {
        const auto projection = static_cast<model::Projection>(p);
        const model::MatrixShape shape = model::ShapeOf(TinyConfig(), projection);
        v1::MatrixProbe& probe = *request->add_probes();
        probe.set_layer(layer);
        probe.set_projection(model::ProjectionPath(projection));
        probe.set_rows(shape.rows);
        probe.set_columns(shape.columns);
        probe.set_divergence(.125);
        for (int i = 0; i <= kAllotmentSteps; ++i) probe.add_loss_curve(1 - i / 40.0);
      }
    }
  }

  // The whole task of a lease; matrices that are committed already are left out.
  absl::Status Work(const v1::Lease& lease) {
    const v1::Task& task = lease.task();
    for (int layer = 0; task.has_calibrate() && layer < 2; ++layer) {
      CALDERA_RETURN_IF_ERROR(CommitHessians(lease, layer));
    }
    const auto& done = task.compress().committed();
    for (int p = 0; task.has_compress() && p < model::kProjectionCount; ++p) {
      const std::string path = model::ProjectionPath(static_cast<model::Projection>(p));
      if (std::find(done.begin(), done.end(), path) != done.end()) continue;
      CALDERA_RETURN_IF_ERROR(CommitMatrix(lease, p).status());
      ++committed_;
    }
    return Complete(lease);
  }
  // Works until nothing is left to do.
  void WorkAll() {
    for (v1::Lease lease = Lease(); !lease.lease_id().empty(); lease = Lease()) Must(Work(lease));
    cluster_->Drain();
  }
  // Works until it holds a lease of a compress task.
  v1::Lease WorkUntilCompress() {
    v1::Lease lease = Lease();
    while (!lease.task().has_compress()) {
      Must(Work(lease));
      lease = Lease();
    }
    return lease;
  }

  int committed() const { return committed_; }

 private:
  Cluster* const cluster_;
  const std::string id_;
  const std::string incarnation_;
  int committed_ = 0;
};

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_SCRIPTED_WORKER_H_
