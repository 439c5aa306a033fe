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
  // Publishing runs on the pool, receipts and removals behind it.
  void Drain() {
    pool_->Drain();
    coordinator_->DrainReceipts();
  }
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
  JobState State(const std::string& id) {
    return Must(coordinator_->FindJobState("compressionJobs/" + id));
  }
  std::vector<v1::JobEvent> Events(const std::string& id) {
    std::vector<v1::JobEvent> events;
    while (true) {
      const std::int64_t after = events.empty() ? 0 : events.back().sequence();
      const auto batch = Must(coordinator_->ReadEvents("compressionJobs/" + id, after));
      if (batch.events.empty()) return events;
      events.insert(events.end(), batch.events.begin(), batch.events.end());
    }
  }
  std::vector<std::string> EventTypes(const std::string& id) {
    std::vector<std::string> types;
    for (const v1::JobEvent& event : Events(id)) types.push_back(event.type());
    return types;
  }
  // Flips the last bit of a stored object, as a bad disk would.
  void Damage(const std::string& sha256) {
    const std::string file = path("store/objects/sha256/" + sha256.substr(0, 2) + "/" + sha256);
    std::string bytes = Must(base::ReadFile(file));
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    Must(base::ReplaceFile(file, bytes));
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

}  // namespace caldera::coordinator

#endif  // CALDERA_TESTS_COORDINATOR_CLUSTER_FIXTURE_H_
