// A coordinator over real SQLite state and a real file store, with a clock that stands still, and a
// scripted worker that commits real (noise) matrices. It can be restarted in the middle.
#ifndef CALDERA_TESTS_COORDINATOR_CLUSTER_FIXTURE_H_
#define CALDERA_TESTS_COORDINATOR_CLUSTER_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/allocation.h"
#include "coordinator/coordinator.h"
#include "coordinator/recover.h"
#include "coordinator/sqlite_state_store.h"
#include "tests/coordinator/tiny_model.h"

namespace caldera::coordinator {

class Cluster {
 public:
  explicit Cluster(LeasePolicy policy = {}) : policy_(policy) { Start(); }
  ~Cluster() { Shutdown(); }

  Coordinator& coordinator() { return *coordinator_; }
  store::CheckpointStore& store() { return *store_; }
  base::ManualClock& clock() { return clock_; }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  const v1::JobSpec& spec() const { return spec_; }

  // As a killed process: memory goes, files stay. The code may be another one afterwards.
  void Restart(const std::string& code_version = "1.0+a") {
    code_version_ = code_version;
    Shutdown();
    Start();
  }
  // The database is lost and rebuilt from what lies in the store.
  Recovery Recover() {
    Shutdown();
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(path(std::string("state.sqlite") + suffix));
    }
    Recovery recovery;
    {
      const auto store = Must(store::OpenStore(path("store")));
      const auto states = Must(SqliteStateStore::Open(path("state.sqlite")));
      recovery = Must(RecoverJobs(*store, clock_, *states));
    }
    Start();
    return recovery;
  }
  // Publishing runs on the pool.
  void Drain() { pool_->Drain(); }
  void Advance(absl::Duration step) {
    clock_.Advance(step);
    coordinator_->Tick();
  }

  v1::CompressionJob Create(const std::string& id) { return Create(id, spec_); }
  v1::CompressionJob Create(const std::string& id, const v1::JobSpec& spec) {
    v1::CreateCompressionJobRequest request;
    request.set_job_id(id);
    *request.mutable_spec() = spec;
    return Must(coordinator_->CreateJob(request));
  }
  v1::CompressionJob Get(const std::string& id) {
    return Must(coordinator_->GetJob("compressionJobs/" + id));
  }
  std::vector<std::string> EventTypes(const std::string& id) {
    std::vector<std::string> types;
    for (std::int64_t after = 0;;) {
      const auto batch = Must(coordinator_->ReadEvents("compressionJobs/" + id, after));
      for (const v1::JobEvent& event : batch.events) {
        types.push_back(event.type());
        after = event.sequence();
      }
      if (batch.events.empty()) return types;
    }
  }

 private:
  void Start() {
    store_ = Must(store::OpenStore(path("store")));
    states_ = Must(SqliteStateStore::Open(path("state.sqlite")));
    pool_ = std::make_unique<ThreadPool>(1);
    CoordinatorDependencies dependencies;
    dependencies.core = {states_.get(), &clock_, &observer_, base::SystemEntropy(), {}};
    dependencies.store = store_.get();
    dependencies.pool = pool_.get();
    CoordinatorOptions options;
    options.core.policy = policy_;
    options.core.policy.backoff_jitter = 0;
    options.core.invariants = InvariantChecks::kOn;
    options.version = "test";
    options.code_version = code_version_;
    coordinator_ = Must(Coordinator::Open(options, dependencies));
  }
  void Shutdown() {
    pool_->Drain();
    pool_.reset();
    coordinator_.reset();
    states_.reset();
    store_.reset();
  }

  const LeasePolicy policy_;
  std::string code_version_ = "1.0+a";
  base::TempDirectory directory_ = Must(base::TempDirectory::Create());
  const v1::JobSpec spec_ = WriteTinyJob(directory_.path());
  base::ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Observer observer_;
  std::unique_ptr<store::CheckpointStore> store_;
  std::unique_ptr<SqliteStateStore> states_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Coordinator> coordinator_;
};

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

  absl::StatusOr<v1::AcquireLeaseResponse> Acquire() {
    v1::AcquireLeaseRequest request;
    request.set_worker_id(id_);
    request.set_incarnation(incarnation_);
    absl::StatusOr<v1::AcquireLeaseResponse> result = absl::UnknownError("no answer");
    cluster_->coordinator().AcquireLease(
        request, [&result](absl::StatusOr<v1::AcquireLeaseResponse> response) {
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
    for (int p = task.compress().committed_size(); task.has_compress() && p < 7; ++p) {
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

#endif  // CALDERA_TESTS_COORDINATOR_CLUSTER_FIXTURE_H_
