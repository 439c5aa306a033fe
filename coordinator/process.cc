#include "coordinator/process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/build_info.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "coordinator/access_guard.h"
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
  std::unique_ptr<rpc::TokenFile> tokens;
  std::string token_error;  // the last one logged
  std::unique_ptr<Refusals> refusals;
  std::unique_ptr<AccessGuard> guard;
  // Destroying the pools runs what is queued, so they go before what that work uses.
  std::unique_ptr<ThreadPool> quick;
  std::unique_ptr<ThreadPool> slow;
  std::unique_ptr<CompressionService> compression;
  std::unique_ptr<DispatchService> dispatch;
  std::unique_ptr<CheckpointService> checkpoint;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<rpc::Server> health;
  std::atomic<bool> stopping = false;
  base::Wakeup wakeup;
  std::thread ticker;

  absl::Status OpenState();
  absl::Status OpenCore();
  absl::Status CheckClosed() const;
  absl::Status OpenGuard();
  absl::Status ServeHealth(const std::vector<std::string>& names);
  absl::Status Serve();
  void RefreshTokens();
  void Tick();
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
  coordinator_options.max_open_jobs = options.max_open_jobs;
  CALDERA_ASSIGN_OR_RETURN(coordinator_options.roots,
                           base::AllowedRoots::Make(options.allow_roots));
  const base::BuildInfo build = base::GetBuildInfo();
  coordinator_options.version = build.version;
  coordinator_options.code_version = build.version + "+" + build.git_commit;
  CALDERA_ASSIGN_OR_RETURN(
      coordinator, Coordinator::Open(std::move(coordinator_options), std::move(dependencies)));
  uploads = std::make_unique<Uploads>(coordinator.get());
  metrics.SetSnapshotSource([this] { return coordinator->Snapshot(); });
  return absl::OkStatus();
}

// Encryption alone keeps nobody out. (What is allowed without any, rpc::Server says.)
absl::Status Process::Parts::CheckClosed() const {
  const rpc::ServerOptions& listen = options.server;
  const bool closed = !options.token_file.empty() || !listen.tls.ca_file.empty();
  const bool meant = listen.plaintext == rpc::PlaintextPolicy::kAnywhere;
  if (listen.tls.empty() || closed || meant || rpc::IsLoopback(listen.listen)) {
    return absl::OkStatus();
  }
  return base::FailedPrecondition(
      "{}: whoever reaches this address could use it: give a token file, an authority of client "
      "certificates, or allow it explicitly",
      listen.listen);
}

absl::Status Process::Parts::OpenGuard() {
  CALDERA_RETURN_IF_ERROR(CheckClosed());
  if (!options.token_file.empty()) {
    CALDERA_ASSIGN_OR_RETURN(tokens, rpc::TokenFile::Open(options.token_file));
    log.Info("{}: {} tokens", tokens->path(), tokens->table()->size());
  }
  refusals = std::make_unique<Refusals>(options.refusals, clock, log);
  guard = std::make_unique<AccessGuard>(tokens.get(), clock, refusals.get());
  return absl::OkStatus();
}

absl::Status Process::Parts::ServeHealth(const std::vector<std::string>& names) {
  if (options.health_listen.empty()) return absl::OkStatus();
  rpc::ServerOptions listen;
  listen.listen = options.health_listen;
  listen.plaintext = rpc::PlaintextPolicy::kAnywhere;
  listen.health_names = names;
  CALDERA_ASSIGN_OR_RETURN(health, rpc::Server::Start(listen, {}));
  return absl::OkStatus();
}

absl::Status Process::Parts::Serve() {
  CALDERA_RETURN_IF_ERROR(OpenGuard());
  const CallPools pools{{quick.get(), commits.get()}, {slow.get(), commits.get()}};
  compression = std::make_unique<CompressionService>(coordinator.get(), guard.get(), pools);
  dispatch = std::make_unique<DispatchService>(coordinator.get(), guard.get(), pools);
  checkpoint =
      std::make_unique<CheckpointService>(coordinator.get(), uploads.get(), guard.get(), pools);
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
  CALDERA_RETURN_IF_ERROR(ServeHealth(listen.health_names));
  ticker = std::thread([this] { Tick(); });
  if (options.address_file.empty()) return absl::OkStatus();
  return base::ReplaceFile(options.address_file, server->address() + "\n");
}

// A file that cannot be read changes nothing, and is logged once.
void Process::Parts::RefreshTokens() {
  if (tokens == nullptr) return;
  const absl::StatusOr<rpc::TokenFile::Change> change = tokens->Refresh();
  const std::string error = change.ok() ? "" : base::MessageOf(change.status());
  if (!error.empty() && error != token_error) {
    log.Error("{}; the tokens stay what they were", error);
  }
  token_error = error;
  if (change.ok() && *change == rpc::TokenFile::Change::kReloaded) {
    log.Info("{} has changed: {} tokens", tokens->path(), tokens->table()->size());
  }
}

void Process::Parts::Tick() {
  while (!stopping) {
    clock->WaitFor(options.tick, wakeup);
    RefreshTokens();
    coordinator->Tick();
    uploads->DropStale();
  }
}

void Process::Parts::Stop(absl::Duration grace) {
  if (stopping.exchange(true)) return;
  if (coordinator != nullptr) coordinator->BeginShutdown();
  if (health != nullptr) health->Shutdown(absl::ZeroDuration());
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
int Process::health_port() const { return parts_->health == nullptr ? 0 : parts_->health->port(); }
Coordinator& Process::coordinator() { return *parts_->coordinator; }
void Process::Stop(absl::Duration grace) { parts_->Stop(grace); }

}  // namespace caldera::coordinator
