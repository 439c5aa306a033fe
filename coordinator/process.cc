#include "coordinator/process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "coordinator/checkpoint_service.h"
#include "coordinator/commit_queue.h"
#include "coordinator/compression_service.h"
#include "coordinator/dispatch_service.h"
#include "coordinator/metrics.h"
#include "coordinator/metrics_interceptor.h"
#include "coordinator/sqlite_state_store.h"
#include "coordinator/uploads.h"

namespace caldera::coordinator {
namespace {

constexpr int kQuickThreads = 4;
constexpr absl::Duration kLongestSweepPause = absl::Minutes(10);

// Held until the descriptor closes, also by a crash.
absl::StatusOr<base::UniqueFd> LockStateDirectory(const std::string& directory) {
  CALDERA_RETURN_IF_ERROR(base::MakeDirectories(directory));
  const std::string path = directory + "/lock";
  base::UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return base::ErrnoToStatus(errno, path);
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  return base::FailedPrecondition("state directory {} is in use by another coordinator", directory);
}

}  // namespace

// Destroyed from the last member to the first: each outlives what is declared after it.
struct Process::Parts {
  ProcessOptions options;
  base::Clock* clock = nullptr;
  base::Logger log;
  base::UniqueFd lock;
  std::unique_ptr<SqliteStateStore> states;
  std::unique_ptr<CommitQueue> commits;
  std::unique_ptr<store::CheckpointStore> store;
  Metrics metrics;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Uploads> uploads;
  // Destroying the pools runs what is queued, so they go before what that work uses.
  std::unique_ptr<ThreadPool> quick;
  std::unique_ptr<ThreadPool> slow;
  std::unique_ptr<CompressionService> compression;
  std::unique_ptr<DispatchService> dispatch;
  std::unique_ptr<CheckpointService> checkpoint;
  std::unique_ptr<rpc::Server> server;
  std::atomic<bool> stopping = false;
  base::Wakeup wakeup;
  std::thread ticker;
  absl::Time next_sweep = absl::InfinitePast();  // the ticker's

  absl::Status OpenState();
  absl::Status OpenCore();
  absl::Status Serve();
  void Tick();
  void Sweep();
  void Stop(absl::Duration grace);
};

absl::Status Process::Parts::OpenState() {
  CALDERA_ASSIGN_OR_RETURN(lock, LockStateDirectory(options.state_dir));
  if (options.store_uri.empty()) options.store_uri = options.state_dir + "/store";
  CALDERA_ASSIGN_OR_RETURN(store, store::OpenStore(options.store_uri));
  CALDERA_ASSIGN_OR_RETURN(states, SqliteStateStore::Open(options.state_dir + "/state.sqlite"));
  return absl::OkStatus();
}

absl::Status Process::Parts::OpenCore() {
  CALDERA_RETURN_IF_ERROR(OpenState());
  quick = std::make_unique<ThreadPool>(kQuickThreads);
  slow = std::make_unique<ThreadPool>(options.slow_threads);
  CoordinatorDependencies dependencies;
  commits = std::make_unique<CommitQueue>(states.get());
  dependencies.core = {commits.get(), clock, &metrics, base::SystemEntropy(), log};
  dependencies.commits = commits.get();
  dependencies.store = store.get();
  dependencies.pool = slow.get();
  CoordinatorOptions coordinator_options;
  coordinator_options.core = options.core;
  const base::BuildInfo build = base::GetBuildInfo();
  coordinator_options.version = build.version;
  coordinator_options.code_version = build.version + "+" + build.git_commit;
  CALDERA_ASSIGN_OR_RETURN(
      coordinator, Coordinator::Open(std::move(coordinator_options), std::move(dependencies)));
  uploads = std::make_unique<Uploads>(coordinator.get());
  metrics.SetSnapshotSource([this] { return coordinator->Snapshot(); });
  return absl::OkStatus();
}

absl::Status Process::Parts::Serve() {
  const CallPools pools{{quick.get(), commits.get()}, {slow.get(), commits.get()}};
  compression = std::make_unique<CompressionService>(coordinator.get(), pools);
  dispatch = std::make_unique<DispatchService>(coordinator.get(), pools);
  checkpoint = std::make_unique<CheckpointService>(coordinator.get(), uploads.get(), pools);
  if (!options.metrics_listen.empty()) {
    CALDERA_RETURN_IF_ERROR(metrics.Listen(options.metrics_listen));
  }
  rpc::Server::InterceptorFactories interceptors;
  interceptors.push_back(MakeMetricsInterceptor(&metrics));
  rpc::ServerOptions listen = options.server;
  listen.health_names = {v1::CompressionService::service_full_name(),
                         v1::DispatchService::service_full_name(),
                         v1::CheckpointService::service_full_name()};
  CALDERA_ASSIGN_OR_RETURN(
      server, rpc::Server::Start(listen, {compression.get(), dispatch.get(), checkpoint.get()},
                                 std::move(interceptors)));
  ticker = std::thread([this] { Tick(); });
  if (options.address_file.empty()) return absl::OkStatus();
  return base::ReplaceFile(options.address_file, server->address() + "\n");
}

void Process::Parts::Tick() {
  while (!stopping) {
    clock->WaitFor(options.tick, wakeup);
    coordinator->Tick();
    uploads->DropStale();
    Sweep();
  }
}

void Process::Parts::Sweep() {
  const absl::Time now = clock->Now();
  if (now < next_sweep) return;
  next_sweep = now + std::min(options.staging_age, kLongestSweepPause);
  const absl::Status status = store->SweepStaging(now - options.staging_age);
  if (!status.ok()) log.Warning("sweeping the store's staging: {}", base::MessageOf(status));
}

void Process::Parts::Stop(absl::Duration grace) {
  if (stopping.exchange(true)) return;
  if (coordinator != nullptr) coordinator->BeginShutdown();
  if (server != nullptr) server->Shutdown(grace);
  wakeup.Notify();
  if (ticker.joinable()) ticker.join();
  metrics.SetSnapshotSource(nullptr);
  // What ends on one of them may leave work to another.
  for (int round = 0; round < 2 && coordinator != nullptr; ++round) {
    quick->Drain();
    slow->Drain();
    coordinator->DrainReceipts();
  }
}

Process::Process(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Process::~Process() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Process>> Process::Start(ProcessOptions options, base::Clock* clock,
                                                        base::Logger log) {
  auto parts = std::make_unique<Parts>();
  parts->options = std::move(options);
  parts->clock = clock;
  parts->log = std::move(log);
  std::unique_ptr<Process> process(new Process(std::move(parts)));
  CALDERA_RETURN_IF_ERROR(process->parts_->OpenCore());
  CALDERA_RETURN_IF_ERROR(process->parts_->Serve());
  return process;
}

absl::StatusOr<Recovery> Process::Recover(ProcessOptions options, base::Clock* clock) {
  Parts parts;
  parts.options = std::move(options);
  CALDERA_RETURN_IF_ERROR(parts.OpenState());
  return RecoverJobs(*parts.store, *clock, *parts.states);
}

const std::string& Process::address() const { return parts_->server->address(); }
int Process::metrics_port() const { return parts_->metrics.port(); }
Coordinator& Process::coordinator() { return *parts_->coordinator; }
void Process::Stop(absl::Duration grace) { parts_->Stop(grace); }

}  // namespace caldera::coordinator
